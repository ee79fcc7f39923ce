"""The supervisor restarts what ends, waits longer each time, and leaves nothing behind."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from concilium.cli import logfile, pidfile, supervisor
from concilium.cli.process import Process
from concilium.cli.processes import log_file, pid_file
from concilium.cli.supervisor import Keeper, backoff, only_supervisor
from concilium.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path, {})
    home.run.mkdir()
    return home


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - processes set no event
            await asyncio.sleep(0.02)


def python(code: str) -> Process:
    return Process("child", (sys.executable, "-c", code))


def test_the_pause_between_starts_doubles_up_to_half_a_minute() -> None:
    assert [backoff(n) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff(50) == 30.0


async def test_a_process_that_ends_is_started_again_and_counted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_BASE_S", 0.01)
    keeper = Keeper(home, python("print('hello')"))
    keeper.start()
    path = pid_file(home, "child")
    await until(lambda: (recorded := pidfile.read(path)) and recorded.restarts >= 2)
    await keeper.stop()
    assert logfile.tail(log_file(home, "child"), 2) == ["hello", "hello"]
    assert not path.exists()


async def test_stopping_ends_a_process_and_what_it_started(home: Home) -> None:
    code = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)\n"
        "time.sleep(600)"
    )
    keeper = Keeper(home, python(code))
    keeper.start()
    await until(lambda: logfile.tail(log_file(home, "child"), 1))
    grandchild = psutil.Process(int(logfile.tail(log_file(home, "child"), 1)[0]))
    await keeper.stop()
    await until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)
    assert pidfile.living(pid_file(home, "child")) is None


async def test_a_process_that_ignores_the_request_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE_S", 0.2)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    keeper = Keeper(home, python(code))
    keeper.start()
    await until(lambda: logfile.tail(log_file(home, "child"), 1))
    async with asyncio.timeout(10):
        await keeper.stop()


async def test_a_program_that_is_not_there_is_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_BASE_S", 0.01)
    said = ""

    def tried_twice() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "restart 2" in said

    keeper = Keeper(home, Process("child", ("/no/such/program",)))
    keeper.start()
    await until(tried_twice)
    await keeper.stop()
    assert "cannot be started" in said


async def test_logs_and_nodes_are_looked_after_again_once_a_full_disk_has_space(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks: list[str] = []

    def full_at_first(what: str, found: object) -> object:
        looks.append(what)
        if looks.count(what) < 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return found

    monkeypatch.setattr(supervisor, "ROTATE_EVERY_S", 0.01)
    monkeypatch.setattr(supervisor, "WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(supervisor.logfile, "rotate", lambda _: full_at_first("log", found=True))
    monkeypatch.setattr(supervisor, "nodes_mark", lambda _: full_at_first("nodes", looks.count("nodes")))
    running = asyncio.create_task(supervisor.supervise(home, members=lambda _: ()))
    try:
        await until(lambda: looks.count("log") > 5 and looks.count("nodes") > 5)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    said = capsys.readouterr().out
    assert said.count("cannot be rotated now: [Errno 28]") == 1
    assert "now keeping" in said


def test_a_home_has_one_supervisor(home: Home) -> None:
    with only_supervisor(home), pytest.raises(BlockingIOError), only_supervisor(Home(home.root, os.environ)):
        pass
