"""Attempts to reach parts of the kernel that a script has no business with."""

# ruff: noqa: E501 - scripts in one line are read, not wrapped

from .attempt import Attempt


def _kernel(name: str, script: str, success: str = "an answer of the kernel other than a refusal") -> Attempt:
    return Attempt(name, "kernel", success, script)


ATTEMPTS = (
    _kernel(
        "keyrings",
        "call('keyctl', 0, -3, 1); call('add_key', b'user', b'x', b'y', 1, -3); call('request_key', b'user', b'x', None, -3)",
    ),
    _kernel("bpf", "call('bpf', 0, ctypes.create_string_buffer(struct.pack('=IIII', 2, 4, 4, 1) + bytes(112)), 128)"),
    _kernel(
        "performance events",
        "call('perf_event_open', ctypes.create_string_buffer(struct.pack('=II', 1, 112) + bytes(104)), 0, -1, -1, 0)",
    ),
    _kernel("userfaultfd", "call('userfaultfd', 1); call('userfaultfd', 0)"),
    _kernel(
        "io_uring",
        "call('io_uring_setup', 1, ctypes.create_string_buffer(256)); call('io_uring_enter', 0, 0, 0, 0, None, 0); call('io_uring_register', 0, 0, None, 0)",
    ),
    _kernel(
        "modules", "call('init_module', None, 0, b''); call('finit_module', 0, b'', 0); call('delete_module', b'x', 0)"
    ),
    # CAD_OFF only forbids the keyboard's reset: harmless where it is allowed.
    _kernel(
        "reboot",
        "call('reboot', 0xfee1dead, 672274793, 0, None); call('kexec_load', 0, 0, None, 0); call('kexec_file_load', -1, -1, 0, None, 0)",
    ),
    _kernel(
        "clock and names",
        "call('settimeofday', None, None); call('sethostname', b'x', 1); call('setdomainname', b'x', 1); call('adjtimex', ctypes.create_string_buffer(struct.pack('=I', 0x4001) + bytes(204)))",
    ),
    _kernel(
        "swap, quotas, accounting",
        "call('swapon', b'x', 0); call('swapoff', b'x'); call('quotactl', 0x800005, b'x', 0, None); call('acct', None)",
    ),
    _kernel(
        "ports and tables",
        "[call(n, 1, 1, 1) for n in ('iopl', 'ioperm', 'modify_ldt') if HOST['calls'].get(n)]",
        "an answer of the kernel",
    ),
    _kernel(
        "log",
        "call('syslog', 3, ctypes.create_string_buffer(4096), 4096); call('syslog', 10, None, 0)",
        "the kernel's messages",
    ),
    _kernel(
        "personality",
        "call('personality', ctypes.c_ulong(0x0040000)); call('personality', ctypes.c_ulong(8))",
        "another personality",
    ),
    _kernel(
        "pages moved",
        "call('move_pages', 0, 0, None, None, None, 0); call('migrate_pages', 0, 0, None, None); call('vmsplice', 1, None, 0, 0)",
    ),
    _kernel(
        "typing into a terminal",
        """
attempt(*[lambda r=r, n=n: fcntl.ioctl(n, r, b'x') for r in (0x5412, 0x541C, 0x8901, 0x8902) for n in (0, 1, 2)])
for path in ('/dev/tty', '/dev/console', '/dev/pts/0', '/dev/tty1'): attempt(lambda: open(path, 'r+b', buffering=0).write(b'x'))
call('vhangup')
""",
        "a byte in somebody's terminal",
    ),
    _kernel(
        "calls nobody knows",
        "for n in (*range(452, 480), 500, 1 << 16, (1 << 30) - 1):\n    ctypes.set_errno(0)\n    if libc.syscall(ctypes.c_long(n), 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM): escaped(n)",
    ),
    _kernel(
        "memory outside every limit",
        "call('memfd_create', b'x', 0); call('memfd_secret', 0); call('shmget', 0, 1 << 20, 0o1600); call('mq_open', b'/x', 0o102, 0o600, None)",
        "memory that belongs to no process",
    ),
    _kernel(
        "core dumps",
        """
before = set(os.listdir('.'))
if resource.getrlimit(resource.RLIMIT_CORE)[1]: escaped('cores are allowed')
pid = os.fork()
if not pid: ctypes.string_at(0)
_, status = os.waitpid(pid, 0)
if os.WCOREDUMP(status): escaped('a core was dumped')
if set(os.listdir('.')) - before: escaped('a core file')
""",
        "a core file, here or by a helper of the host's",
    ),
)
