"""A process is only touched when it is surely the one that was recorded."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from concilium.cli import pidfile

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def test_a_recorded_process_is_found_while_it_lives(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    path = tmp_path / "x.pid"
    pidfile.write(path, process.pid, restarts=3)
    living = pidfile.living(path)
    assert living is not None
    assert living.pid == process.pid
    assert pidfile.read(path) == pidfile.Recorded(process.pid, pidfile.start_mark(process.pid), 3)


def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    path = tmp_path / "x.pid"
    path.write_text(f"{process.pid}\n1\n0\n")
    assert pidfile.living(path) is None
    assert not pidfile.stop(path, grace_s=5)
    assert process.poll() is None
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "x", "12", "1\n2\n3\n4", "x y z"])
def test_a_broken_file_names_nobody(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.pid"
    path.write_text(content)
    assert pidfile.living(path) is None


def test_stopping_ends_what_the_process_started_too(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    path = tmp_path / "x.pid"
    pidfile.write(path, process.pid)
    assert pidfile.stop(path, grace_s=5)
    assert process.wait(timeout=5) is not None
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert pidfile.living(path) is None
