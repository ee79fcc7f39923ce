"""The rungs: ways to confine a run, best first, each with what it does not bound.

What a rung sees of the host is the same on all: the system's programs and libraries and the Python prefix, read-only.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, TimeoutExpired, run

from .job import Limits, SandboxError
from .seccomp import machine, program
from .warden.namespaces import DEVICES, NOBODY

WARDEN = Path(__file__).resolve().parent / "warden"
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from warden.main import main; main(int(sys.argv[2]))"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/alternatives")
BOX_SLACK = 1 << 20

_POLLED = "memory, CPU time and processes are watched every 20 ms, so a burst may pass a limit before the run is killed"
_KERNEL = "kernel memory of pipes and socket pairs is not counted"
_AUTOREAPED = "CPU time of processes whose parent ignores their end is bounded by the wall clock alone"


@dataclass(frozen=True)
class Interpreter:
    """A Python for scripts: the program, and the folder outside the system's that it needs."""

    path: str
    prefix: str | None

    @property
    def readable(self) -> list[str]:
        """What a script may read of the host."""
        shown = [path for path in _SYSTEM if Path(path).exists()]
        return shown + ([self.prefix] if self.prefix else [])


@dataclass(frozen=True)
class Rung:
    """One way to confine a run.

    Attributes:
        name: as records and reports show it.
        unbounded: what it does not bound.
        own_root: the run has a root of its own with the box at ``/box``; else the box is a folder of the host.
        command: the program that becomes the warden, from ``(interpreter, limits, report fd, filter fd)``.
    """

    name: str
    unbounded: tuple[str, ...]
    own_root: bool
    command: Callable[[Interpreter, Limits, int, int], list[str]]

    @property
    def filter(self) -> bytes:
        """The system call filter, empty on a machine without one."""
        kind = machine()
        return program(kind, shared_host=not self.own_root) if kind else b""


def interpreters() -> list[Interpreter]:
    """Return the Pythons that may run scripts: this process's own without its virtual environment, the system's."""
    own = Path(sys.executable).resolve()
    candidates = [own, Path("/usr/bin/python3").resolve()]
    found = []
    for path in dict.fromkeys(candidates):
        if path.exists():
            beneath_system = any(path.is_relative_to(top) for top in ("/usr", "/bin"))
            found.append(Interpreter(str(path), None if beneath_system else str(path.parents[1])))
    return found


def _python(interpreter: str, folder: str, report: int) -> list[str]:
    return [interpreter, "-I", "-S", "-B", "-c", _BOOT, folder, str(report)]


def _direct(interpreter: Interpreter, _limits: Limits, report: int, _filter: int) -> list[str]:
    del interpreter  # the warden runs outside, on the agent's own Python
    return _python(str(Path(sys.executable).resolve()), str(WARDEN.parent), report)


def _bubblewrap(interpreter: Interpreter, limits: Limits, report: int, call_filter: int) -> list[str]:
    """Options of bwrap(1).

    ``/dev`` is made by hand and the root is remounted read-only: bwrap's own are writable and without a size.
    """
    bwrap = shutil.which("bwrap")
    if not bwrap:
        raise SandboxError("bwrap is not installed")
    words = [*_as_nobody(), bwrap, "--unshare-all", "--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    if "--disable-userns" in _help(bwrap):
        words.append("--disable-userns")
    words += ["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    for path in interpreter.readable:
        link = Path(path)
        words += ["--symlink", str(link.readlink()), path] if link.is_symlink() else ["--ro-bind", path, path]
    words += ["--ro-bind", str(WARDEN), "/box-warden/warden", "--proc", "/proc"]
    for name in DEVICES:
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        words += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    words += ["--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "/box/shm", "/dev/shm"]  # noqa: S108 - inside
    words += ["--symlink", "/box/tmp", "/tmp", "--symlink", "/box/out", "/out"]  # noqa: S108 - inside
    words += ["--size", str(limits.disk_bytes + BOX_SLACK), "--tmpfs", "/box", "--remount-ro", "/"]
    words += ["--seccomp", str(call_filter), "--"]
    return words + _python(interpreter.path, "/box-warden", report)


def _as_nobody() -> list[str]:
    """Return what makes a root agent start bwrap as nobody.

    A user namespace made by root maps to root on the host, which owns devices and kernel settings whatever its uid
    inside.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise SandboxError("run as root, it needs setpriv (Debian: util-linux)")
    return [setpriv, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--"]


@cache
def _help(bwrap: str) -> str:
    try:
        done = run([bwrap, "--help"], stdin=DEVNULL, capture_output=True, timeout=5, check=False)  # noqa: S603 - fixed words
    except (OSError, TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")


BUBBLEWRAP = Rung("bubblewrap", (_POLLED, _KERNEL, _AUTOREAPED), own_root=True, command=_bubblewrap)
NAMESPACES = Rung("namespaces", (_POLLED, _KERNEL, _AUTOREAPED), own_root=True, command=_direct)
LANDLOCK = Rung(
    "landlock",
    (
        _POLLED,
        "disk use is watched, not bounded by a file system of its own",
        _KERNEL,
        _AUTOREAPED,
        "names, sizes and times of the host's files can be looked up, their contents not",
        "programs inside cannot signal one another, except their own process group",
    ),
    own_root=False,
    command=_direct,
)
RUNGS = (BUBBLEWRAP, NAMESPACES, LANDLOCK)
