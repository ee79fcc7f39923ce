"""Linux calls that Python has no function for. Every failure is an `OSError` that names the call."""

# Plain os calls: importing pathlib would lengthen the start of every run.
# ruff: noqa: PTH112

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RDONLY = 2, 4, 8, 1
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _syscall(name: str, number: int, *arguments: object) -> int:
    return _checked(name, _libc.syscall(ctypes.c_long(number), *arguments))


def _prctl(name: str, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    _checked(name, _libc.prctl(option, *padded))


def unshare(flags: int) -> None:
    """Leave the namespaces that ``flags`` name, for new ones: unshare(2)."""
    _checked("unshare", _libc.unshare(flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    words = [word.encode() or None for word in (source, target, kind)]
    _checked(f"mount {target}", _libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None))


def unmount(target: str) -> None:
    """Detach a mount and all below it: umount2(2)."""
    _checked(f"umount {target}", _libc.umount2(target.encode(), MNT_DETACH))


def restrict_mount(target: str, attributes: int, *, recursive: bool) -> None:
    """Add attributes to a mount, or to it and all below it: mount_setattr(2), Linux 5.12."""
    attr = struct.pack("=QQQQ", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    _syscall(
        f"mount_setattr {target}",
        _MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        ctypes.c_uint(flags),
        attr,
        ctypes.c_size_t(len(attr)),
    )


def pivot_root(new: str, old: str) -> None:
    """Make the mount ``new`` the root and put the old root at ``old``: pivot_root(2)."""
    _syscall("pivot_root", _PIVOT_ROOT[os.uname().machine], new.encode(), old.encode())


def die_with_parent(signal: int) -> None:
    """Receive ``signal`` when the parent ends. A change of the user id clears this."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, signal)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ended."""
    _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)


def hide_from_debuggers() -> None:
    """Keep processes of the same user from reading this one's memory and open files."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """No program started from here on gains rights, setuid or not. Cannot be undone."""
    _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability this process has: capset(2)."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _checked("capset", _libc.capset(header, bytes(24)))


def drop_bounding_set() -> None:
    """Make every capability unobtainable for what is started from here. Needs CAP_SETPCAP."""
    for capability in range(64):
        try:
            _prctl("PR_CAPBSET_DROP", _PR_CAPBSET_DROP, capability)
        except OSError:
            return  # beyond the newest capability this kernel knows


def filter_calls(program: bytes) -> None:
    """Install a classic BPF program as the system call filter: seccomp(2). Needs `forbid_new_privileges` before."""

    class SockFprog(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    fprog = SockFprog(len(program) // 8, program)
    _prctl("PR_SET_SECCOMP", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(fprog))


# landlock(7): rights of ABI 2; LANDLOCK_ACCESS_FS_EXECUTE is bit 0, ..., REFER bit 13.
_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_ALL_OF_ABI_2 = (1 << 14) - 1
_MAKE_DEVICES = 1 << 6 | 1 << 11
LANDLOCK_READ = _EXECUTE | _READ | _READ_DIR
LANDLOCK_DEVICE = _READ | _WRITE
LANDLOCK_OWN = _ALL_OF_ABI_2 & ~_MAKE_DEVICES
_RIGHTS_OF_FILES = _EXECUTE | _WRITE | _READ


def landlock(rules: list[tuple[str, int]]) -> None:
    """Forbid every file access of ABI 2 except the rights given beneath the paths given.

    Raises:
        OSError: the kernel has no landlock, or only ABI 1.
    """
    if _syscall("landlock", _LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1)) < 2:
        raise OSError(95, "landlock: ABI 2 (Linux 5.19) is needed")
    attr = struct.pack("=Q", _ALL_OF_ABI_2)
    ruleset = _syscall("landlock", _LANDLOCK_CREATE, attr, ctypes.c_size_t(len(attr)), ctypes.c_uint(0))
    for path, rights in rules:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if os.path.isdir(path) else rights & _RIGHTS_OF_FILES
        rule = struct.pack("=Qi", allowed, beneath)
        _syscall("landlock_add_rule", _LANDLOCK_ADD, ruleset, 1, rule, ctypes.c_uint(0))
        os.close(beneath)
    _syscall("landlock_restrict_self", _LANDLOCK_RESTRICT, ruleset, ctypes.c_uint(0))
    os.close(ruleset)
