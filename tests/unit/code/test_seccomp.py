"""The filters decide as meant, shown by carrying the programs out as the kernel would."""

import errno
import struct

import pytest

from concilium.workers.code.sandbox.seccomp import program
from concilium.workers.code.sandbox.syscalls import LAST_KNOWN, SYSCALLS, Machine

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
REFUSED, ABSENT = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS


def verdict(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """Carry a classic BPF program out over ``struct seccomp_data`` (kernel: networking/filter.rst)."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number, arch, 0, *(value & (1 << 64) - 1 for value in padded))
    accumulator, at = 0, 0
    while True:
        operation, jt, jf, k = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, k)
            case 0x54:
                accumulator &= k
            case 0x15:
                at += jt if accumulator == k else jf
            case 0x35:
                at += jt if accumulator >= k else jf
            case 0x45:
                at += jt if accumulator & k else jf
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"unknown instruction {operation:#x}")


@pytest.fixture(params=list(Machine))
def kind(request: pytest.FixtureRequest) -> Machine:
    return request.param  # type: ignore[no-any-return]  # pytest types params as Any


def ask(kind: Machine, call: str, *arguments: int, shared: bool = False) -> int:
    number = SYSCALLS[call][kind]
    if number is None:
        pytest.skip(f"{kind.name} has no {call}")
    return verdict(program(kind, shared_host=shared), kind.audit_arch, number, *arguments)


def test_ordinary_calls_are_allowed(kind: Machine) -> None:
    read, write = {Machine.X86_64: (0, 1), Machine.AARCH64: (63, 64)}[kind]
    for number in (read, write, LAST_KNOWN):
        assert verdict(program(kind, shared_host=True), kind.audit_arch, number) == ALLOW


def test_a_foreign_architecture_is_killed(kind: Machine) -> None:
    other = next(each for each in Machine if each is not kind)
    for arch in (other.audit_arch, 0x40000003):  # the second is i386
        assert verdict(program(kind, shared_host=False), arch, 0) == KILL


def test_x32_calls_are_killed() -> None:
    assert verdict(program(Machine.X86_64, shared_host=False), Machine.X86_64.audit_arch, 0x40000000 | 41) == KILL


def test_calls_newer_than_the_table_are_absent(kind: Machine) -> None:
    for number in (LAST_KNOWN + 1, 1000, 0x3FFFFFFF):
        assert verdict(program(kind, shared_host=False), kind.audit_arch, number) == ABSENT


DANGEROUS = """
socket connect bind listen accept accept4 ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp mount umount2
pivot_root chroot unshare setns bpf io_uring_setup keyctl add_key perf_event_open userfaultfd memfd_create shmget
name_to_handle_at open_by_handle_at reboot kexec_load init_module finit_module
"""


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("call", DANGEROUS.split())
def test_dangerous_calls_are_refused(kind: Machine, call: str, shared: bool) -> None:
    assert ask(kind, call, shared=shared) == REFUSED


@pytest.mark.parametrize(
    "call", ["tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal"]
)
def test_beside_the_host_no_call_sends_a_signal_to_another_process(kind: Machine, call: str) -> None:
    for pid in (0, 1, 7):
        assert ask(kind, call, pid, 9, shared=True) == REFUSED


@pytest.mark.parametrize(("call", "before"), [("mknod", (0,)), ("mknodat", (0, 0))])
def test_devices_cannot_be_made(kind: Machine, call: str, before: tuple[int, ...]) -> None:
    assert ask(kind, call, *before, 0o020666) == REFUSED
    assert ask(kind, call, *before, 0o060666) == REFUSED
    assert ask(kind, call, *before, 0o010666) == ALLOW  # a pipe


def test_clone_is_allowed_unless_it_makes_a_namespace(kind: Machine) -> None:
    assert ask(kind, "clone", 17) == ALLOW
    assert ask(kind, "clone", 0x3D0F00) == ALLOW  # the flags of pthread_create
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(kind, "clone", flag | 17) == REFUSED
    assert ask(kind, "clone3") == ABSENT


def test_only_unix_stream_pairs_are_allowed(kind: Machine) -> None:
    assert ask(kind, "socketpair", 1, 1 | 0o2000000) == ALLOW
    assert ask(kind, "socketpair", 1, 2) == REFUSED
    assert ask(kind, "socketpair", 2, 1) == REFUSED


def test_limits_of_other_processes_are_out_of_reach(kind: Machine) -> None:
    assert ask(kind, "prlimit64", 0) == ALLOW
    assert ask(kind, "prlimit64", 1) == REFUSED


def test_signals_and_metadata_are_refused_only_where_the_host_is_shared(kind: Machine) -> None:
    assert ask(kind, "kill", 7, 9) == ALLOW
    assert ask(kind, "kill", 7, 9, shared=True) == REFUSED
    assert ask(kind, "kill", -1, 9, shared=True) == REFUSED
    assert ask(kind, "kill", 0, 9, shared=True) == ALLOW
    assert ask(kind, "fchmodat") == ALLOW
    assert ask(kind, "fchmodat", shared=True) == REFUSED


@pytest.mark.parametrize(
    ("flags", "expected"), [(0, ALLOW), (1, ALLOW), (0o1101, ALLOW), (0o1000, REFUSED), (3, REFUSED)]
)
def test_opening_may_not_truncate_unless_it_may_write(kind: Machine, flags: int, expected: int) -> None:
    assert ask(kind, "openat", 0, 0, flags, shared=True) == expected
    assert ask(kind, "openat", 0, 0, flags) == ALLOW


def test_programs_fit_the_kernels_limit(kind: Machine) -> None:
    for shared in (False, True):
        code = program(kind, shared_host=shared)
        assert len(code) % 8 == 0
        assert len(code) // 8 <= 4096
        assert len(code) < 65536  # bubblewrap's comes through a pipe filled at once
