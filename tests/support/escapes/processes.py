"""Attempts to reach other processes, and to gain rights."""

# ruff: noqa: E501 - scripts in one line are read, not wrapped

from .attempt import Attempt


def _process(name: str, script: str, success: str = "a process of the host that ends, stops or is read") -> Attempt:
    return Attempt(name, "processes", success, script)


def _rights(name: str, script: str, success: str = "rights the run did not have") -> Attempt:
    return Attempt(name, "rights", success, script)


_OTHERS = "others = [HOST['agent'], HOST['victim']] if HOST['victim'] > 1000 else []\n"

ATTEMPTS = (
    _process(
        "signals to the host's processes",
        _OTHERS
        + """
for pid in others:
    attempt(lambda: os.kill(pid, signal.SIGKILL), lambda: os.kill(pid, 0), lambda: os.kill(-pid, signal.SIGKILL))
    if libc.syscall(ctypes.c_long(HOST['calls']['tkill']), pid, 9) == 0: escaped('tkill')
    if libc.syscall(ctypes.c_long(HOST['calls']['tgkill']), pid, pid, 9) == 0: escaped('tgkill')
    attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 9))
""",
    ),
    _process(
        "signals to all and to the parent",
        """
warden = os.getppid()
for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGKILL):
    for pid in (warden, 1, -warden, -1):
        if pid == -1: signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            if pid != -1 or number == signal.SIGTERM: os.kill(pid, number)
        except OSError: pass
for name in ('tkill', 'tgkill'):
    libc.syscall(ctypes.c_long(HOST['calls'][name]), warden, *([warden] if name == 'tgkill' else []), 9)
print('still here')
""",
        "an end of the host's process, or of the warden, which leaves the run unwatched",
    ),
    _process(
        "signals by the owner of a descriptor",
        _OTHERS
        + "attempt(*[lambda p=p: fcntl.fcntl(0, 8, p) for p in others], lambda: fcntl.fcntl(1, 8, os.getppid()), lambda: fcntl.fcntl(1, 10, 9))",
        "a descriptor whose events signal another process",
    ),
    _process(
        "ptrace",
        _OTHERS
        + """
for pid in (*others, os.getppid()):
    call('ptrace', ctypes.c_long(16), ctypes.c_long(pid), 0, 0)
    call('ptrace', ctypes.c_long(0x4206), ctypes.c_long(pid), 0, 0)
call('ptrace', ctypes.c_long(0), 0, 0, 0)
""",
        "a traced process",
    ),
    _process(
        "memory of others",
        """
for pid in (HOST['agent'], HOST['victim'], os.getppid(), 1):
    area = (ctypes.c_ulong * 2)(0x400000, 8)
    call('process_vm_readv', pid, area, 1, area, 1, 0); call('process_vm_writev', pid, area, 1, area, 1, 0)
call('pidfd_getfd', 0, 0, 0); call('kcmp', os.getpid(), os.getppid(), 0, 0, 0); call('process_madvise', 0, 0, 0, 0, 0)
""",
    ),
    _process(
        "limits and priorities of others",
        _OTHERS
        + """
for pid in (*others, os.getppid()):
    attempt(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)), lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
            lambda: os.sched_setaffinity(pid, {0}), lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
attempt(lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
""",
    ),
    _process(
        "the own limits raised",
        """
for kind in (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
    soft, most = resource.getrlimit(kind)
    attempt(lambda: resource.setrlimit(kind, (most + 1, most + 1)))
attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
""",
        "a limit above the one that was set",
    ),
    Attempt(
        "the own priority raised",
        "processes",
        "a lower nice value",
        "attempt(lambda: os.nice(-10))",
        stated=("may change its own nice value",),
    ),
    _process(
        "a daemon that stays",
        """
if not os.fork():
    os.setsid()
    if not os.fork():
        os.closerange(0, 100)
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: time.sleep(60)
    os._exit(0)
os.wait()
""",
        "a process of the run that outlives it",
    ),
    _process(
        "a chain of forks that runs away",
        """
if not os.fork():
    os.setsid(); os.closerange(0, 100)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if os.fork(): os._exit(0)
        time.sleep(0.002)
""",
        "a process of the run that outlives it",
    ),
    _rights(
        "user ids",
        "attempt(lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.seteuid(0), lambda: 1/0 if os.getuid() and os.geteuid() else 0)",
    ),
    _rights(
        "setuid programs",
        "for c in 'su -c id root' 'sudo -n id' 'mount -t tmpfs x /tmp' 'newgrp root' 'passwd -d root' 'pkexec id' 'unshare -Ur id'; do if $c </dev/null 2>&1 | grep -q 'uid=0'; then echo ESCAPED $c; fi; done; mount -t tmpfs x /tmp 2>/dev/null && echo ESCAPED mount; cp /bin/sh ./sh; chmod 4755 ./sh; ./sh -p -c id | grep -q 'euid=0' && echo ESCAPED setuid; true",
        "uid=0 from a program",
    ),
    _rights(
        "capabilities",
        """
status = {}
try: status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)
except OSError: pass
for name in ('CapEff', 'CapPrm', 'CapAmb', 'CapInh'):
    if int(status.get(name, '0').strip(), 16): escaped(f'{name} {status[name]}')
header, data = struct.pack('=Ii', 0x20080522, 0), struct.pack('=IIIIII', *[0xffffffff] * 6)
if libc.capset(header, data) == 0: escaped('capset')
if libc.prctl(47, 2, 21, 0, 0) == 0: escaped('ambient')
if libc.prctl(39, 0, 0, 0, 0) != 1: escaped('new privileges are possible')
if libc.prctl(28, 0x2f, 0, 0, 0) == 0: escaped('securebits')
""",
    ),
    _rights(
        "new namespaces",
        """
for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
    if libc.unshare(flag) == 0: escaped(f'unshare {flag:#x}')
    pid = libc.syscall(ctypes.c_long(HOST['calls']['clone']), ctypes.c_ulong(flag | 17), 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    if pid > 0: escaped(f'clone {flag:#x}')
arguments = ctypes.create_string_buffer(struct.pack('=11Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))
pid = libc.syscall(ctypes.c_long(HOST['calls']['clone3']), arguments, 88)
if pid == 0: os._exit(0)
if pid > 0: escaped('clone3')
for number in (libc.open(b'/proc/1/ns/net', 0), libc.open(b'/proc/1/ns/mnt', 0), 0):
    call('setns', number, 0)
""",
        "a namespace of one's own",
    ),
    _rights(
        "mounts and roots",
        """
call('mount', b'none', b'/tmp', b'tmpfs', 0, None); call('mount', b'/', b'/tmp', None, 4096, None)
call('umount2', b'/proc', 2); call('pivot_root', b'.', b'.'); call('chroot', b'.')
call('fsopen', b'tmpfs', 0); call('open_tree', -100, b'/', 1); call('move_mount', -100, b'/', -100, b'/', 0)
call('mount_setattr', -100, b'/', 0, ctypes.create_string_buffer(32), 32); call('fspick', -100, b'/', 0)
""",
    ),
    _rights(
        "the filter taken off",
        """
for option, value in ((22, 0), (22, 1)):
    pid = os.fork()
    if not pid:
        if libc.prctl(option, value, 0, 0, 0) == 0 and value == 0: escaped('seccomp off')
        os._exit(0)
    os.waitpid(pid, 0)
allow = ctypes.create_string_buffer(struct.pack('=HBBI', 6, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack('=HxxxxxxQ', 1, ctypes.addressof(allow)))
libc.prctl(22, 2, program, 0, 0)
attempt(lambda: socket.socket())
""",
        "a socket after a filter that allows all",
    ),
)
