"""Hostile scripts: what they try to reach, on every rung. The attempts are data, in ``tests/support/escapes``."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from concilium.workers.code.host import chosen_rung
from integration.code.conftest import Sandboxed, probed
from support.escapes.attempt import Attempt
from support.escapes.judge import judge
from support.escapes.suite import ATTEMPTS

ROOT = Path(__file__).parents[3]
LIMITS = [attempt for attempt in ATTEMPTS if attempt.family == "limits"]
OTHERS = [attempt for attempt in ATTEMPTS if attempt.family != "limits"]


def test_there_are_enough_attempts_each_told_apart() -> None:
    assert len(ATTEMPTS) >= 40
    assert len({attempt.label for attempt in ATTEMPTS}) == len(ATTEMPTS)


@pytest.mark.parametrize("attempt", OTHERS, ids=lambda attempt: attempt.label)
async def test_an_attempt_to_break_out_fails(box: Sandboxed, attempt: Attempt) -> None:
    await _is_held(attempt, box)


@pytest.mark.parametrize("attempt", LIMITS, ids=lambda attempt: attempt.label)
async def test_an_attempt_to_use_more_than_allowed_fails(held: Sandboxed, attempt: Attempt) -> None:
    await _is_held(attempt, held)


async def _is_held(attempt: Attempt, box: Sandboxed) -> None:
    """An attempt may succeed only where the rung itself says that it does not bound this."""
    verdict = await judge(attempt, await chosen_rung(box.settings))
    assert verdict.word in ("held", "stated"), verdict.successes


def test_what_a_rung_does_not_bound_is_shown_by_an_attempt() -> None:
    """Nothing that the kernel bounds is stated as open: with a control group, the attempts on memory must be held."""
    for rung in probed().rungs:
        if rung.holds and rung.controls.memory and rung.controls.cpu:
            assert not [a.label for a in LIMITS if any(part in line for part in a.stated for line in rung.unbounded)]


async def test_the_environment_holds_nothing_of_the_agents(box: Sandboxed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCILIUM_SECRET", "hush")
    names = await box.says("import os; print(' '.join(sorted(os.environ)))")
    assert set(names.split()) <= {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "OUT", "PATH", "PYTHONPATH", "TMPDIR"}


async def test_a_killed_process_group_is_told_as_a_signal(box: Sandboxed) -> None:
    output, _ = await box.run("import os, signal\nos.kill(0, signal.SIGKILL)")
    assert output["signal"] == "SIGKILL"


async def test_no_process_of_a_run_is_root_on_the_host(box: Sandboxed) -> None:
    task = asyncio.ensure_future(box.call("import time; time.sleep(20)"))
    async with asyncio.timeout(20):
        while not (names := box.alive()):  # noqa: ASYNC110 - another process is awaited, it sets no event here
            await asyncio.sleep(0.01)
    pids = [int(name.split("pid=")[1].split(",")[0]) for name in names]
    uids = {uid for pid in pids for uid in psutil.Process(pid).uids()}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 not in uids


async def test_a_script_has_no_rights_and_a_filter(box: Sandboxed) -> None:
    if box.rung == "landlock":
        pytest.skip("a script cannot read /proc there")
    source = """
import os
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)
print(*(status[name].strip() for name in ('CapEff', 'CapPrm', 'CapAmb', 'NoNewPrivs', 'Seccomp')))
print(os.getresuid(), os.getgroups())
"""
    lines = (await box.says(source)).splitlines()
    assert lines == ["0000000000000000 0000000000000000 0000000000000000 1 2", "(65534, 65534, 65534) []"]


def test_the_table_of_attempts_is_printed_by_one_command() -> None:
    chosen = probed().chosen
    assert chosen
    words = ["benchmarks/sandbox.py", "--escapes", "--rung", chosen.name, "--only", "network: UDP"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "network: UDP  held (exit 0)" in done.stdout
