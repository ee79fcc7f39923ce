"""System call filters as classic BPF programs.

The kernel's interface: Documentation/userspace-api/seccomp_filter.rst (``struct seccomp_data``, return actions) and
Documentation/networking/filter.rst (classic BPF). A program is a sequence of ``struct sock_filter``
``{u16 code; u8 jt; u8 jf; u32 k}`` in the machine's byte order.

The filter is a deny list: what reaches other machines, other processes, kernel interfaces with a history of
holes, or memory that no limit counts. System calls newer than the table answer ENOSYS, as an older kernel would.
"""

import errno
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from .syscalls import LAST_KNOWN, SYSCALLS, Machine

_LD_ABS, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_OFFSET_NR, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_X32_BIT = 0x40000000


class Test(IntEnum):
    """When a rule on an argument refuses the call; compared are the argument's low 32 bits."""

    EQUAL = 0
    DIFFERS = 1
    ANY_BIT = 2


@dataclass(frozen=True)
class Rule:
    """Refuse a system call with ``error``: always, or when ``test`` holds for ``argument & mask`` and ``value``."""

    call: str
    error: int = errno.EPERM
    argument: int | None = None
    test: Test = Test.EQUAL
    value: int = 0
    mask: int = 0xFFFFFFFF


_NEVER = """
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
unshare setns mount umount2 pivot_root chroot move_mount fsopen fsconfig fsmount fspick open_tree mount_setattr
keyctl add_key request_key bpf perf_event_open io_uring_setup io_uring_enter io_uring_register userfaultfd
socket connect bind listen accept accept4
kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff quotactl quotactl_fd acct
settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm modify_ldt uselib sysfs
name_to_handle_at open_by_handle_at fanotify_init fanotify_mark syslog lookup_dcookie nfsservctl vhangup
shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semctl semtimedop mq_open mq_unlink
memfd_create memfd_secret vmsplice migrate_pages move_pages ioprio_set
"""

_CLONE_NEW = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_BASE = (
    *(Rule(call) for call in _NEVER.split()),
    # clone3 and openat2 pass their flags through memory, which a filter cannot read; libc falls back to the older call.
    Rule("clone3", errno.ENOSYS),
    Rule("openat2", errno.ENOSYS),
    Rule("clone", argument=0, test=Test.ANY_BIT, value=_CLONE_NEW),
    # A stream pair cannot be connected elsewhere; a datagram pair can send to any address. asyncio needs the pair.
    Rule("socketpair", argument=0, test=Test.DIFFERS, value=1),
    Rule("socketpair", argument=1, test=Test.DIFFERS, value=1, mask=0xF),
    # Devices: refused by the kernel too, but not by gVisor's.
    *(Rule("mknod", argument=1, value=kind, mask=0o170000) for kind in (0o020000, 0o060000)),
    *(Rule("mknodat", argument=2, value=kind, mask=0o170000) for kind in (0o020000, 0o060000)),
    Rule("personality", argument=0, test=Test.DIFFERS, value=0xFFFFFFFF),
    # Limits, priority and placement of the caller only.
    Rule("prlimit64", argument=0, test=Test.DIFFERS),
    Rule("sched_setaffinity", argument=0, test=Test.DIFFERS),
    Rule("sched_setscheduler", argument=0, test=Test.DIFFERS),
    Rule("sched_setparam", argument=0, test=Test.DIFFERS),
    Rule("sched_setattr", argument=0, test=Test.DIFFERS),
    Rule("setpriority", argument=0, test=Test.DIFFERS),
    Rule("setpriority", argument=1, test=Test.DIFFERS),
    # TIOCSTI, TIOCLINUX type into a terminal; FIOSETOWN, SIOCSPGRP, F_SETOWN, F_SETSIG, F_SETOWN_EX send signals.
    *(Rule("ioctl", argument=1, value=request) for request in (0x5412, 0x541C, 0x8901, 0x8902)),
    *(Rule("fcntl", argument=1, value=command) for command in (8, 10, 15, 1024, 1026, 1031)),
)

_SIGNALS = "tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal"
_METADATA = """
chmod fchmod fchmodat chown fchown lchown fchownat utime utimes utimensat futimesat
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""
_O_TRUNC = 0o1000
_OPEN_FLAGS = {"open": 1, "openat": 2}

_BESIDE_THE_HOST = (
    # No process namespace: only the own process group may be signalled, which holds nothing but the run.
    Rule("kill", argument=0, test=Test.DIFFERS),
    *(Rule(call) for call in _SIGNALS.split()),
    Rule("prctl", argument=0, value=4),  # PR_SET_DUMPABLE would hide the open files from the watcher
    # What landlock of ABI 2 does not govern: truncation by path or on opening without writing, modes, owners, times.
    Rule("truncate"),
    *(Rule(call, argument=arg, value=3, mask=3) for call, arg in _OPEN_FLAGS.items()),
    *(Rule(call, argument=arg, value=_O_TRUNC, mask=_O_TRUNC | 3) for call, arg in _OPEN_FLAGS.items()),
    *(Rule(call) for call in _METADATA.split()),
    Rule("inotify_add_watch"),  # would tell what happens in the host's folders
)


def machine() -> Machine | None:
    """Return the kind of machine this is, or None where there is no filter for it."""
    return {"x86_64": Machine.X86_64, "aarch64": Machine.AARCH64}.get(platform.machine())


@cache
def program(kind: Machine, *, shared_host: bool) -> bytes:
    """Return the filter for a machine.

    Args:
        kind: whose numbers to use; calls from any other architecture, or from x32, kill the process.
        shared_host: the run shares the host's processes and file tree, so signals and metadata are refused too.
    """
    rules = _BASE + (_BESIDE_THE_HOST if shared_host else ())
    code = [
        _op(_LD_ABS, _OFFSET_ARCH),
        _op(_JEQ, kind.audit_arch, 1, 0),
        _op(_RET, _KILL_PROCESS),
        _op(_LD_ABS, _OFFSET_NR),
    ]
    if kind is Machine.X86_64:
        code += [_op(_JGE, _X32_BIT, 0, 1), _op(_RET, _KILL_PROCESS)]
    code += [_op(_JGE, LAST_KNOWN + 1, 0, 1), _op(_RET, _ERRNO | errno.ENOSYS)]
    for rule in rules:
        code += _compile(rule, kind)
    code.append(_op(_RET, _ALLOW))
    return b"".join(code)


def _compile(rule: Rule, kind: Machine) -> Iterable[bytes]:
    number = SYSCALLS[rule.call][kind]
    if number is None:
        return []
    refuse = _op(_RET, _ERRNO | rule.error)
    if rule.argument is None:
        return [_op(_JEQ, number, 0, 1), refuse]
    body = [_op(_LD_ABS, _OFFSET_ARGS + 8 * rule.argument)]
    if rule.mask != 0xFFFFFFFF:
        body.append(_op(_AND, rule.mask))
    body += [
        {
            Test.EQUAL: _op(_JEQ, rule.value, 0, 1),
            Test.DIFFERS: _op(_JEQ, rule.value, 1, 0),
            Test.ANY_BIT: _op(_JSET, rule.value, 0, 1),
        }[rule.test],
        refuse,
        _op(_LD_ABS, _OFFSET_NR),
    ]
    return [_op(_JEQ, number, 0, len(body)), *body]


def _op(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jt, jf, k)
