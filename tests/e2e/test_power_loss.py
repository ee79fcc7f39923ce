"""Power loss and reboot: every process gone at once, files torn; then a start as the service manager makes it."""

import os
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path

import psutil
import pytest

from support.bell import WITHIN_S, Bell, all_completed, bell_mesh, completed
from support.command import CONCILIUM


def tear(home: Path) -> None:
    """Leave behind what a machine leaves that stops in the middle of a write.

    Half a frame at the end of the ledger's log, half-written files of agents, uploads and pids, a stale socket.
    """
    with (home / "ledger.sqlite3-wal").open("ab") as log:
        log.write(os.urandom(24) + b"\x00" * 1000)
    finished = home / "agent-state" / "bell" / "runs"
    (finished / "task_torn.a.1.new").write_bytes(b"\x0a")
    with (home / "agent-state" / "bell" / "executions.jsonl").open("ab") as log:
        log.write(b'{"at": "2026-')
    (home / "blobs" / "partial" / "half").write_bytes(b"half")
    (home / "run" / "runner.pid").write_bytes(b"12")
    (home / "run" / "control.pid").write_bytes(b"")
    # A pid that belongs to a stranger after the reboot.
    (home / "run" / "bell.pid").write_text(f"{os.getpid()}\n1\n0\n")


def ended_once(bell: Bell, task: str) -> bool:
    """Whether a task has one end, and its step one completion."""
    history = bell.history(task)
    ends = [one for one in history if one["kind"] == "state" and one["state"] in {"completed", "failed", "canceled"}]
    done = [one for one in history if one["kind"] == "step" and one["state"] == "completed"]
    return len(ends) == len(done) == 1


def started_as_a_service(bell: Bell, manager: socket.socket) -> subprocess.Popen[bytes]:
    """Start the mesh in the foreground; return when it has told the service manager that it is ready."""
    place = manager.getsockname()
    process = subprocess.Popen(
        [CONCILIUM, "up", "--foreground"],
        env=bell.mesh.environ | {"NOTIFY_SOCKET": place},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    manager.settimeout(WITHIN_S)
    assert manager.recv(200).startswith(b"READY=1")
    return process


@pytest.mark.parametrize("times", [2])
def test_every_task_ends_once_although_everything_stops_at_once_and_files_are_torn(tmp_path: Path, times: int) -> None:
    with bell_mesh(tmp_path / "home") as bell, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        service = started_as_a_service(bell, manager)
        accepted = {bell.submit(f"guest {number}") for number in range(24)}
        for turn in range(1, times + 1):
            bell.until(lambda tasks, some=4 * turn: completed(tasks) >= some)
            bell.mesh.kill_all()
            service.wait()
            tear(bell.home)
            service = started_as_a_service(bell, manager)
        tasks = bell.until(all_completed)
        assert set(tasks) == accepted
        assert all(ended_once(bell, task) for task in tasks)
        assert all(len(bell.sound(task)) > 20_000 for task in tasks)
        assert psutil.pid_exists(os.getpid())
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
        assert manager.recv(200) == b"STOPPING=1"
        with sqlite3.connect(bell.home / "ledger.sqlite3") as conn:
            assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        conn.close()
