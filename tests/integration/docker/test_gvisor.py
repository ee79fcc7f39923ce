"""The rung `gvisor`, with a real Docker daemon and runsc."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from concilium.workers.code import host
from concilium.workers.code.sandbox.job import MIB, File, Job, Limits
from concilium.workers.code.sandbox.probe import RungReport, probe
from support.docker import Docker
from support.escapes.judge import judge
from support.escapes.suite import ATTEMPTS

AT_ONCE = 3
SLOW_S = 400


@pytest.fixture(scope="module")
def found(docker: Docker) -> Iterator[RungReport]:
    """What probing says while the agent's Docker is the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", docker.host)
        yield asyncio.run(probe(["gvisor"])).rungs[0]


@pytest.fixture
def gvisor(found: RungReport, docker: Docker) -> Iterator[RungReport]:
    """The rung, and the daemon without a container when the test is over."""
    assert found.holds, found.reason
    yield found
    assert docker.containers() == []


async def test_it_comes_first_when_docker_has_it(gvisor: RungReport) -> None:
    report = host.describe_sandbox()
    assert report.chosen
    assert report.chosen.name == "gvisor"
    assert report.chosen.unbounded
    assert report.chosen.holder == "the supervisor"


async def test_another_rung_can_be_put_before_it(gvisor: RungReport) -> None:
    report = host.describe_sandbox({"rungs": ["landlock", "gvisor"]})
    assert [rung.name for rung in report.rungs] == ["landlock", "gvisor"]


async def test_a_script_runs_with_files_in_and_out_inside_another_kernel(gvisor: RungReport) -> None:
    source = """
import os, sys
print(sys.stdin.read(), sys.argv[1], open('счёт.txt').read(), os.getuid(), file=sys.stderr)
open('/dev/stdout', 'w').write(os.uname().version)
open(os.environ['OUT'] + '/big', 'wb').write(bytes(1 << 20))
"""
    files = (File("счёт.txt", "сумма".encode()),)
    job = Job("python", source.encode(), "main.py", "привет".encode(), files, ("--a b",))
    outcome = await host.carry_out(gvisor, job)
    assert outcome.exit_code == 0, outcome
    assert outcome.stderr.decode() == "привет --a b сумма 65534\n"
    assert outcome.stdout.decode() != os.uname().version
    assert [(file.name, len(file.content)) for file in outcome.files] == [("big", 1 << 20)]
    assert outcome.memory_peak > MIB
    assert outcome.cpu_s > 0


async def test_a_cancelled_run_leaves_no_container(gvisor: RungReport, docker: Docker) -> None:
    source = b"import signal, time\nsignal.signal(15, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    task = asyncio.ensure_future(host.carry_out(gvisor, Job("python", source)))
    async with asyncio.timeout(20):
        while not docker.containers():  # noqa: ASYNC110 - the daemon is awaited, it sets no event here
            await asyncio.sleep(0.05)
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 15
    assert docker.containers() == []


@pytest.mark.parametrize(
    ("limit", "source"),
    [
        ("memory", "held = []\nwhile True: held.append(bytearray(b'x') * (4 << 20))"),
        ("disk", "with open('fill', 'wb') as file:\n    while True: file.write(bytes(1 << 20))"),
        ("output", "while True: print('x' * 65536)"),
        ("processes", "import os, time\nwhile True:\n    if not os.fork(): time.sleep(20)"),
        ("cpu-time", "while True: pass"),
        ("wall-time", "import time; time.sleep(60)"),
    ],
)
async def test_every_limit_ends_a_run_and_is_named(gvisor: RungReport, limit: str, source: str) -> None:
    # Which of two limits is met first depends on the machine's speed: only the one tried is low.
    low = {"cpu-time": {"cpu_s": 2}, "wall-time": {"wall_s": 8}, "processes": {"processes": 16}}
    ample = {"cpu_s": 60, "wall_s": 60, "processes": 64, "memory_bytes": 256 * MIB, "disk_bytes": 16 * MIB}
    limits = Limits(**ample | low.get(limit, {}))
    outcome = await host.carry_out(gvisor, Job("python", source.encode(), limits=limits))
    assert outcome.limit == limit, outcome


@pytest.mark.timeout(SLOW_S)
@pytest.mark.parametrize("family", sorted({attempt.family for attempt in ATTEMPTS}))
async def test_attempts_to_break_out_fail(gvisor: RungReport, family: str) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def held(index: int) -> str:
        async with room:
            verdict = await judge(ATTEMPTS[index], gvisor)
        return "" if verdict.word in ("held", "stated") else f"{verdict.attempt.label}: {verdict.successes}"

    chosen = [index for index, attempt in enumerate(ATTEMPTS) if attempt.family == family]
    assert [text for text in await asyncio.gather(*map(held, chosen)) if text] == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('echo \'{"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--platform=kvm"]}}\'', "kvm"),
        ('echo \'{"runc": {"path": "runc"}}\'', "no runsc runtime"),
        ("echo nobody is there >&2; exit 1", "nobody is there"),
        ("exec sleep 60", "does not answer"),
    ],
)
async def test_a_daemon_that_is_of_no_use_is_a_reason(
    answer: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "docker"
    client.write_text(f"#!/bin/sh\n{answer}\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("concilium.workers.code.sandbox.gvisor._ASK_S", 0.5)
    report = (await probe(["gvisor"])).rungs[0]
    assert not report.holds
    assert reason in report.reason
