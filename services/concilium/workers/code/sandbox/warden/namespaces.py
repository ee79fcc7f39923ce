"""A root of one's own, made of namespaces, read-only binds and one sized tmpfs.

As root the mounts are made with root's rights, which are then given up. An ordinary user
gets them from a user namespace.
"""

# Plain os calls: importing pathlib would lengthen the start of every run.
# ruff: noqa: PTH102, PTH103, PTH112, PTH114, PTH115, PTH120, PTH123, PTH211

import os
import signal
from collections.abc import Sequence

from . import kernel

NOBODY = 65534
_SEPARATE = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)
DEVICES = ("null", "zero", "full", "random", "urandom")
_BASE = "/tmp"  # noqa: S108 - only a mount point, private to this namespace
_OLD, _NEW = "/old", "/new"


def enter(readable: Sequence[str], tmpfs_bytes: int, inodes: int) -> None:
    """Come back as process 1 of a sandbox, as nobody and without capabilities.

    The caller's process stays behind, waits and ends with the sandbox's exit status; when it is
    killed the sandbox dies.

    Raises:
        OSError: the machine does not allow this.
    """
    root = os.geteuid() == 0
    if root:
        kernel.unshare(_SEPARATE)
    else:
        _enter_user_namespace()
    alive, lifeline = os.pipe()
    child = os.fork()
    if child:
        _wait_outside(child)
    os.close(lifeline)
    _build_root(readable, tmpfs_bytes, inodes)
    _give_up_rights(root=root)
    kernel.die_with_parent(signal.SIGKILL)
    os.set_blocking(alive, False)
    try:
        os.read(alive, 1)  # end of file: the process outside ended before the line above took hold
        os._exit(1)
    except BlockingIOError:
        os.close(alive)


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(_SEPARATE | kernel.CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/gid_map", f"{NOBODY} {gid} 1")
    _write("/proc/self/uid_map", f"{NOBODY} {uid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "wb") as file:  # binary: codecs cannot be imported while the root is being changed
        file.write(text.encode())


def _wait_outside(child: int) -> None:
    """Hold nothing but the lifeline, wait, end as the sandbox ended."""
    for number in (0, 1, 2):
        os.close(number)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _build_root(readable: Sequence[str], tmpfs_bytes: int, inodes: int) -> None:
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", _BASE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1M")
    os.mkdir(_BASE + _OLD)
    os.mkdir(_BASE + _NEW)
    kernel.pivot_root(_BASE, _BASE + _OLD)
    os.chdir("/")
    kernel.mount("tmpfs", _NEW, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1M")
    for path in readable:
        _bind(path)
    _make_devices()
    os.makedirs(_NEW + "/proc")
    kernel.mount("proc", _NEW + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, "subset=pid")
    os.mkdir(_NEW + "/box")
    options = f"mode=0755,size={tmpfs_bytes},nr_inodes={inodes},uid={NOBODY},gid={NOBODY}"
    kernel.mount("tmpfs", _NEW + "/box", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    for name, target in (("tmp", "/box/tmp"), ("out", "/box/out"), ("dev/shm", "/box/shm")):
        os.symlink(target, f"{_NEW}/{name}")
    os.chdir(_NEW)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.restrict_mount("/", kernel.MOUNT_ATTR_RDONLY, recursive=False)


def _bind(path: str) -> None:
    """Show ``path`` of the old root at the same place, read-only; a link stays a link."""
    source, target = _OLD + path, _NEW + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        _write(target, "")
    kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
    attributes = kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV
    kernel.restrict_mount(target, attributes, recursive=True)


def _make_devices() -> None:
    os.mkdir(_NEW + "/dev")
    for name in DEVICES:
        _write(f"{_NEW}/dev/{name}", "")
        kernel.mount(f"{_OLD}/dev/{name}", f"{_NEW}/dev/{name}", flags=kernel.MS_BIND)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{_NEW}/dev/{name}")
    os.symlink("/proc/self/fd", f"{_NEW}/dev/fd")


def _give_up_rights(*, root: bool) -> None:
    kernel.drop_bounding_set()
    if root:
        become_nobody()
    kernel.drop_capabilities()
    kernel.forbid_new_privileges()


def become_nobody() -> None:
    """Change from root to nobody, for good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
