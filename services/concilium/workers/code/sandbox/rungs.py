"""The rungs: ways to confine a run, best first, each with what it does not bound.

What a rung sees of the host is the same on all: the system's programs and libraries and the Python prefix, read-only.
The order is by protection. gVisor comes first: its run has a kernel of its own, and an operator who gave Docker its
runtime has asked for it. What it costs is time (most of a second a run against some 50 ms); the setting ``rungs`` puts
another first.
"""

import os
import sys
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, TimeoutExpired, run

from . import gvisor
from .rung import BOX_SLACK, HOST_KERNEL, WARDEN, Rung, Start, which
from .warden.namespaces import DEVICES, NOBODY


def _direct(start: Start) -> list[str]:
    """The warden runs outside, on the agent's own Python."""
    return start.warden(str(Path(sys.executable).resolve()), str(WARDEN.parent))


def _bubblewrap(start: Start) -> list[str]:
    """Options of bwrap(1).

    ``/dev`` is made by hand and the root is remounted read-only: bwrap's own are writable and without a size.
    """
    bwrap = which("bwrap", " (Debian: bubblewrap)")
    words = [*_as_nobody(), bwrap, "--unshare-all", "--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    if "--disable-userns" in _help(bwrap):
        words.append("--disable-userns")
    words += ["--cap-drop", "ALL", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    for path in start.shown:
        link = Path(path)
        words += ["--symlink", str(link.readlink()), path] if link.is_symlink() else ["--ro-bind", path, path]
    words += ["--ro-bind", str(WARDEN), "/box-warden/warden", "--proc", "/proc"]
    for name in DEVICES:
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        words += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    words += ["--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "/box/shm", "/dev/shm"]  # noqa: S108 - inside
    words += ["--symlink", "/box/tmp", "/tmp", "--symlink", "/box/out", "/out"]  # noqa: S108 - inside
    words += ["--size", str(start.limits.disk_bytes + BOX_SLACK), "--tmpfs", "/box", "--remount-ro", "/"]
    words += ["--seccomp", str(start.call_filter), "--"]
    return words + start.warden(start.interpreter.path, "/box-warden")


def _as_nobody() -> list[str]:
    """Return what makes a root agent start bwrap as nobody.

    A user namespace made by root maps to root on the host, which owns devices and kernel settings whatever its uid
    inside.
    """
    if os.geteuid() != 0:
        return []
    return [
        which("setpriv", ", which an agent run as root needs (Debian: util-linux)"),
        "--reuid",
        str(NOBODY),
        "--regid",
        str(NOBODY),
        "--clear-groups",
        "--",
    ]


@cache
def _help(bwrap: str) -> str:
    try:
        done = run([bwrap, "--help"], stdin=DEVNULL, capture_output=True, timeout=5, check=False)  # noqa: S603 - fixed words
    except (OSError, TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")


BUBBLEWRAP = Rung("bubblewrap", (HOST_KERNEL,), _bubblewrap)
NAMESPACES = Rung("namespaces", (HOST_KERNEL,), _direct)
LANDLOCK = Rung(
    "landlock",
    (
        HOST_KERNEL,
        "disk use is watched every 20 ms, not bounded by a file system of its own",
        "names, sizes and times of the host's files, and which processes it has, can be looked up, their contents not",
        "programs inside cannot signal one another, except their own process group",
    ),
    _direct,
    own_root=False,
)
RUNGS = (gvisor.GVISOR, BUBBLEWRAP, NAMESPACES, LANDLOCK)
