"""Pid files that name a process beyond doubt: the pid, when that process started, and how often it was restarted.

A pid alone may belong to a stranger after a crash or a reboot; nothing is ever signalled unless its start matches.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Recorded:
    """The content of a pid file."""

    pid: int
    mark: str
    """When the process started, as `start_mark` names it."""
    restarts: int = 0


def start_mark(pid: int) -> str:
    """Return a text that differs for every process that ever has this pid; raise `psutil.NoSuchProcess`.

    On Linux the start time in clock ticks since boot (proc(5), field 22 of ``/proc/<pid>/stat``), which does not
    move when the wall clock is set; elsewhere the creation time.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return f"{psutil.Process(pid).create_time():.2f}"
    return stat.rpartition(")")[2].split()[19]


def write(path: Path, pid: int, restarts: int = 0) -> None:
    """Record a running process, atomically."""
    try:
        mark = start_mark(pid)
    except psutil.NoSuchProcess:
        mark = "gone"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_text(f"{pid}\n{mark}\n{restarts}\n", encoding="ascii")
    new.replace(path)


def read(path: Path) -> Recorded | None:
    """Return what the file records, or None when there is no readable file."""
    try:
        pid, mark, restarts = path.read_text(encoding="ascii").split()
        return Recorded(int(pid), mark, int(restarts))
    except (OSError, ValueError):
        return None


def living(path: Path) -> psutil.Process | None:
    """Return the recorded process when it still runs and is the one that was recorded."""
    recorded = read(path)
    if recorded is None:
        return None
    try:
        process = psutil.Process(recorded.pid)
        if process.status() == psutil.STATUS_ZOMBIE or start_mark(recorded.pid) != recorded.mark:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def stop(path: Path, grace_s: float) -> bool:
    """End the recorded process and everything it started, kindly and then by force; return whether it ran."""
    process = living(path)
    if process is not None:
        family = [process, *descendants(process.pid)]
        signal_all(family[:1], force=False)
        psutil.wait_procs(family[:1], timeout=grace_s)
        signal_all(family, force=True)
        psutil.wait_procs(family, timeout=5)
    path.unlink(missing_ok=True)
    return process is not None


def descendants(pid: int) -> list[psutil.Process]:
    """Return every process below a process, in whatever session."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def signal_all(processes: list[psutil.Process], *, force: bool) -> None:
    """Ask processes to end, or end them by force; those that are gone already do not matter."""
    for process in processes:
        try:
            process.kill() if force else process.terminate()
        except psutil.NoSuchProcess:
            continue
