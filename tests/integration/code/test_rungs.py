"""Which rungs hold is found out by trying; without one nothing runs."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from concilium.workers import code
from concilium.workers.code import host
from concilium.workers.code.sandbox.job import Job, SandboxError
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from integration.code.conftest import MANIFEST, Sandboxed, probed
from support.sandbox_copy import copy_sandbox

AS_NOBODY = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from sandbox.job import File, Job, Limits
from sandbox.launch import carry_out
from sandbox.probe import probe
from sandbox.rungs import RUNGS

BOMB = b"import os\\nwhile True:\\n    try: os.fork()\\n    except OSError: pass"
FILL = b"import os\\nos.mkdir('h', 0o300)\\nwhile True: open('h/f', 'ab').write(bytes(1 << 20))"
FLOOD = b"while True: print('x' * 4096)"
KILL = b"import os\\ntry: os.kill(os.getppid(), 9)\\nexcept OSError: pass\\nprint('here')"

async def main(name):
    report = (await probe([name])).rungs[0]
    if not report.holds:
        print("absent", report.reason)
        return
    rung = next(rung for rung in RUNGS if rung.name == name)
    async def run(source, **fields):
        return await carry_out(rung, report.interpreter, Job("python", source, limits=Limits(cpu_s=10), **fields))
    done = await run(b"open('b', 'w').write(open('a').read().upper())", files=(File("a", b"text"),))
    assert [(f.name, f.content) for f in done.files] == [("b", b"TEXT")], done
    for source, limit in ((BOMB, "processes"), (FILL, "disk"), (FLOOD, "output")):
        outcome = await run(source)
        assert outcome.limit == limit, outcome
    assert (await run(KILL)).stdout == b"here\\n"
    print("holds")

asyncio.run(main(sys.argv[2]))
"""


def test_every_rung_is_reported_with_its_reason_or_what_it_does_not_bound() -> None:
    report = probed()
    assert [rung.name for rung in report.rungs] == ["gvisor", "bubblewrap", "namespaces", "landlock"]
    for rung in report.rungs:
        assert rung.holds != bool(rung.reason)
        assert rung.unbounded
    assert report.chosen == next(rung for rung in report.rungs if rung.holds)
    assert report.advice == ""


async def test_the_report_can_be_had_while_a_loop_runs() -> None:
    assert code.describe_sandbox().chosen


async def test_without_a_rung_nothing_runs_and_the_refusal_helps(tmp_path: Path) -> None:
    ctx = SkillContext(run_id="t.s.1", files={}, settings={**MANIFEST.settings, "rungs": []}, folder=tmp_path)
    with pytest.raises(SkillFailed) as failure:
        await code.skills["code.run"](ctx, {"source": f"open({str(tmp_path / 'ran')!r}, 'w')"})
    assert failure.value.problem.type == "no-sandbox"
    assert "apt-get install bubblewrap" in failure.value.problem.detail
    assert not (tmp_path / "ran").exists()


async def test_a_missing_bubblewrap_is_a_reason_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    gvisor, bubblewrap, *_ = code.describe_sandbox().rungs
    assert not gvisor.holds
    assert "docker is not installed" in gvisor.reason
    assert not bubblewrap.holds
    assert "bwrap is not installed" in bubblewrap.reason


async def test_warming_up_probes_once(tmp_path: Path) -> None:
    await code.warm_up(MANIFEST.settings)
    ctx = SkillContext(run_id="t.s.1", files={}, settings=MANIFEST.settings, folder=tmp_path)
    result = await code.skills["code.run"](ctx, {"source": "print(1)"})
    chosen = probed().chosen
    assert chosen
    assert result.output["sandbox"]["rung"] == chosen.name


async def test_a_job_can_show_more_of_the_host_and_set_variables(box: Sandboxed) -> None:
    report = next(rung for rung in probed().rungs if rung.name == box.rung)
    assert report.interpreter
    with _open_folder("shown.py", "value = 42") as folder:
        source = b"""
import os
import shown
print(shown.value, os.environ["BOX"] == os.path.dirname(os.getcwd()))
try: open(shown.__file__, "a")
except OSError: print("read-only")
"""
        job = Job("python", source, readable=(folder,), environment={"PYTHONPATH": folder, "BOX": "{box}"})
        outcome = await host.carry_out(report, job)
    assert outcome.stdout == b"42 True\nread-only\n", outcome.stderr
    with pytest.raises(SandboxError):
        await host.carry_out(report, Job("python", b"", readable=("relative",)))


@contextlib.contextmanager
def _open_folder(name: str, text: str) -> Iterator[str]:
    """Hold a folder that every user can reach, with one file."""
    with tempfile.TemporaryDirectory(prefix="concilium-test-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / name).write_text(text)
        yield folder


AGENT = """
import asyncio, sys
from concilium.workers import code
from concilium.workers.code import host
from concilium.workers.code.sandbox.job import Job, SandboxError
from concilium.workers.runtime.skill import SkillContext
from pathlib import Path
ctx = SkillContext(run_id="t.s.1", files={}, settings={"rungs": [sys.argv[1]]}, folder=Path("/"))
source = "import os, time\\nfor _ in range(3):\\n    if not os.fork(): os.setsid()\\ntime.sleep(60)"
asyncio.run(code.skills["code.run"](ctx, {"source": source, "args": [sys.argv[2]]}))
"""


def test_a_killed_agent_takes_its_runs_along(box: Sandboxed) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": tempfile.gettempdir()}
    agent = subprocess.Popen([sys.executable, "-c", AGENT, box.rung, box.marker], env=environment)
    mine = 1  # the agent's own command line holds the marker
    _wait_until(lambda: len(box.alive()) >= mine + 8)
    agent.kill()
    agent.wait()
    _wait_until(lambda: not box.alive())
    _wait_until(lambda: not any(Path(tempfile.gettempdir()).iterdir()))


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["bubblewrap", "namespaces", "landlock"])
def test_the_rungs_hold_for_an_ordinary_user(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    python = shutil.which("python3", path="/usr/bin")
    if not python or not shutil.which("setpriv"):
        pytest.skip("needs /usr/bin/python3 and setpriv: any Python that an ordinary user may read")
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([python, "-c", check], check=False).returncode:
        pytest.skip(f"{python} is older than Python 3.11")
    copy = Path(f"/var/tmp/concilium-test-{os.getpid()}-{name}")
    try:
        copy_sandbox(copy)
        become = ["setpriv", "--reuid", "65533", "--regid", "65533", "--clear-groups"]
        command = [*become, python, "-B", "-c", AS_NOBODY, str(copy), name]
        path = {"PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/", env=path, check=False)
    finally:
        shutil.rmtree(copy)
    if done.stdout.startswith("absent"):
        assert "could be" not in done.stdout
        pytest.skip(done.stdout)
    assert done.stdout == "holds\n", done.stderr
