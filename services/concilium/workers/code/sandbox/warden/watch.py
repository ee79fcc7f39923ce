"""What a run uses, all its processes together, read from /proc (proc(5)) and from its box."""

# Plain os calls: importing pathlib would lengthen the start of every run.
# ruff: noqa: PTH101, PTH116, PTH123, PTH208

import itertools
import os
from collections.abc import Iterator

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """One line of /proc/<pid>/stat.

    Attributes:
        cpu_s: its own time and that of the children it has waited for.
        resident: bytes, shared pages included.
    """

    __slots__ = ("cpu_s", "parent", "pid", "resident", "state", "threads")

    def __init__(self, pid: int, parent: int, *, state: str, cpu_s: float, threads: int, resident: int) -> None:
        self.pid, self.parent, self.state = pid, parent, state
        self.cpu_s, self.threads, self.resident = cpu_s, threads, resident


class Usage:
    """Bytes, seconds, counts; a peak of what was seen."""

    def __init__(self, cpu_s: float = 0.0, memory: int = 0, disk: int = 0, processes: int = 0) -> None:
        self.cpu_s, self.memory, self.disk, self.processes = cpu_s, memory, disk, processes


def processes() -> Iterator[Process]:
    """Yield every process that /proc shows."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            found = _read(int(name))
            if found:
                yield found


def _read(pid: int) -> Process | None:
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None  # it has ended
    try:
        text = os.read(descriptor, 4096)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    # The name, in parentheses, may hold anything; fields count from 3 after the last parenthesis.
    fields = text[text.rindex(b")") + 2 :].split()
    cpu_s = sum(int(value) for value in fields[11:15]) / _TICK
    return Process(
        pid,
        int(fields[1]),
        state=fields[0].decode(),
        cpu_s=cpu_s,
        threads=int(fields[17]),
        resident=int(fields[21]) * _PAGE,
    )


def descendants(of: int) -> list[Process]:
    """Return every process below ``of``, itself excluded."""
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    pending = [of]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += [process.pid for process in below]
    return found


def memory(members: list[Process], limit: int) -> int:
    """Return the bytes the processes hold together.

    The sum of resident sizes counts a shared page once for each process. Only when that sum passes the limit is the
    exact, slower proportional size (smaps_rollup) read; a process that hides it counts with its resident size.
    """
    resident = sum(process.resident for process in members)
    if resident <= limit:
        return resident
    return sum(_proportional(process) for process in members)


def _proportional(process: Process) -> int:
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except PermissionError:
        return process.resident
    except OSError:
        return 0  # it has ended
    return 0  # it has ended, and only its parent has not yet noticed


def tmpfs_use(box: str) -> tuple[int, int | None]:
    """Return the bytes and the files on the file system of the box; None where it does not count files."""
    status = os.statvfs(box)
    files = status.f_files - status.f_ffree if status.f_files else None
    return (status.f_blocks - status.f_bfree) * status.f_frsize, files


def folder_use(box: str, members: list[Process], most: int = 1 << 30) -> tuple[int, int]:
    """Return the bytes and the files of the box, with those deleted but still open in one of the processes.

    Stops counting at ``most`` files: what is beyond cannot change the verdict, and a run must not make looking slow.
    """
    device = os.stat(box).st_dev
    sizes: dict[int, int] = {}
    pending = [box]
    while pending and len(sizes) < most:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in itertools.islice(entries, most):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    status = entry.stat(follow_symlinks=False)
                    sizes[status.st_ino] = status.st_blocks * 512
        except PermissionError:
            _open_up(folder)  # a run must not hide what it stores; counted at the next look
        except OSError:
            continue  # removed while being read
    for process in members:
        for status in _open_files(process.pid):
            if status.st_dev == device and status.st_nlink == 0:
                sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values()), len(sizes)


def _open_up(folder: str) -> None:
    """Make a folder of the box readable again, without following a link put in its place."""
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY)
        os.chmod(f"/proc/self/fd/{descriptor}", 0o700)
        os.close(descriptor)
    except OSError:
        return  # removed in between


def _open_files(pid: int) -> Iterator[os.stat_result]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            yield os.stat(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue


def tasks_of(uid: int) -> int:
    """Return how many processes and threads a user has, as RLIMIT_NPROC counts them."""
    total = 0
    for process in processes():
        try:
            total += process.threads if os.stat(f"/proc/{process.pid}").st_uid == uid else 0
        except OSError:
            continue  # it has ended
    return total
