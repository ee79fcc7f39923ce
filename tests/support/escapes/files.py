"""Attempts to reach the host's files, environment and settings."""

# ruff: noqa: E501 - scripts in one line are read, not wrapped

from .attempt import Attempt


def _read(name: str, script: str, success: str = "the host's secret in the output") -> Attempt:
    return Attempt(name, "reading", success, script)


def _write(name: str, script: str, success: str = "a changed or new file of the host") -> Attempt:
    return Attempt(name, "writing", success, script)


_SHOW = """
def show(*paths):
    for path in paths:
        try:
            with open(path, 'rb') as file: print(path, file.read(1 << 16))
        except (OSError, ValueError) as error: print('refused', path, type(error).__name__)
"""

ATTEMPTS = (
    _read("a file open to all", _SHOW + "show(HOST['secret'], HOST['folder'] + '/../' + HOST['secret'])"),
    _read(
        "system secrets",
        "attempt(*[lambda p=p: open(p, 'rb').read(1) for p in ('/etc/shadow', '/etc/passwd', "
        "'/root/.bashrc', '/var/log/dpkg.log', '/boot/vmlinuz', '/proc/kcore', '/dev/mem', "
        "'/dev/kmem', '/dev/port', '/dev/kmsg', '/dev/vda', '/dev/sda', '/dev/kvm', '/dev/fuse', '/dev/net/tun')])",
        "a byte of any of them",
    ),
    _read(
        "the host's name and name servers",
        "import hashlib\nfor name, digest in HOST['settings'].items():\n"
        "    try: same = hashlib.sha256(open(name, 'rb').read()).hexdigest() == digest\n"
        "    except OSError: same = False\n    if same: escaped(name)",
        "the same text as the host's",
    ),
    _read(
        "the root of another process",
        _SHOW + "show(*[f'/proc/{pid}/{way}{HOST[\"secret\"]}' for pid in (1, 2, os.getppid(), HOST['agent'], "
        "HOST['victim'], 'self') for way in ('root', 'cwd')])",
    ),
    _read(
        "environments, memories and files of other processes",
        _SHOW
        + """
import glob
show(*glob.glob('/proc/[0-9]*/environ'), f"/proc/{HOST['agent']}/environ", *glob.glob('/proc/[0-9]*/task/*/environ'))
for pid in (1, os.getppid(), HOST['agent'], HOST['victim']):
    for number in range(40):
        try:
            other = os.open(f'/proc/{pid}/fd/{number}', os.O_RDONLY | os.O_NONBLOCK)
            if not mine(other): escaped(f'descriptor {number} of {pid}'); print(os.read(other, 65536))
        except OSError: pass
    try:
        with open(f'/proc/{pid}/mem', 'rb') as memory:
            if pid != os.getpid(): escaped(f'memory of {pid}')
    except OSError: pass
""",
    ),
    _read("the own environment", _SHOW + "print(dict(os.environ)); show('/proc/self/environ')"),
    _read(
        "descriptors left open",
        """
for number in range(3, 4096):
    try: kind = os.fstat(number)
    except OSError: continue
    escaped(f'descriptor {number}')
    try: print(os.pread(number, 65536, 0))
    except OSError: pass
""",
    ),
    _read("a link to it in the results", "os.symlink(HOST['secret'], 'link'); os.symlink(HOST['folder'], 'folder')"),
    _read("a second name for it in the results", "attempt(lambda: os.link(HOST['secret'], 'second'))"),
    _read(
        "the results folder made a link",
        """
import shutil
out = os.environ['OUT']
try: shutil.rmtree(out)
except OSError: pass
try: os.symlink(HOST['folder'], out)
except OSError as error: print('refused', error)
""",
    ),
    _read(
        "a file swapped for a link while it is collected",
        """
os.makedirs('race', exist_ok=True)
for number in range(20): open(f'race/{number}', 'w').write('x')
if not os.fork():
    while True:
        for number in range(20):
            try:
                os.symlink(HOST['secret'], 'race/.link'); os.rename('race/.link', f'race/{number}')
                open('race/.file', 'w').write('x'); os.rename('race/.file', f'race/{number}')
            except OSError: pass
time.sleep(0.1)
""",
    ),
    _read(
        "handles of files",
        """
call('name_to_handle_at', -100, b'/usr', ctypes.create_string_buffer(256), ctypes.byref(ctypes.c_int()), 0)
call('open_by_handle_at', -100, ctypes.create_string_buffer(struct.pack('=Ii', 8, 1) + bytes(8)), 0)
""",
        "a call that reaches the kernel",
    ),
    _read(
        "shared memory of System V",
        "call('shmget', 0x51ead, 0, 0); call('msgget', 0x51ead, 0); call('semget', 0x51ead, 0, 0)",
        "an identifier",
    ),
    _read("shared memory of POSIX", _SHOW + "show('/dev/shm/' + HOST['shm'])"),
    _read(
        "what happens in the host's folders",
        "call('fanotify_init', 0, 0)\nwatch = libc.inotify_init()\n"
        "if libc.inotify_add_watch(watch, HOST['folder'].encode(), 0xfff) >= 0: escaped('a watch')",
        "a watch on a folder of the host",
    ),
    Attempt(
        "that the host's files exist",
        "reading",
        "the size of a file of the host",
        "attempt(lambda: os.stat(HOST['secret']).st_size)",
        stated=("names, sizes and times of the host's files",),
    ),
    Attempt(
        "that the host's processes exist",
        "reading",
        "a folder in /proc for a process of the host",
        "attempt(lambda: os.stat(f'/proc/{HOST[\"victim\"]}').st_uid) if HOST['victim'] > 1000 else None",
        stated=("which processes it has",),
    ),
    _write(
        "a file open to all",
        "attempt(*[lambda m=m: open(HOST['canary'], m, buffering=1).write('gotcha\\n') for m in ('w', 'a', 'r+')], "
        "lambda: open(HOST['folder'] + '/new', 'w'))",
    ),
    _write(
        "its length, mode, owner, times, attributes",
        """
path = HOST['canary']
attempt(lambda: os.truncate(path, 0), lambda: os.open(path, os.O_RDONLY | os.O_TRUNC), lambda: os.open(path, 3 | os.O_TRUNC),
        lambda: os.chmod(path, 0), lambda: os.chown(path, os.getuid(), os.getgid()), lambda: os.utime(path, (0, 0)),
        lambda: os.setxattr(path, 'user.x', b'x'))
""",
    ),
    _write(
        "its name and place",
        """
path = HOST['canary']
attempt(lambda: os.rename(path, 'stolen'), lambda: os.link(path, 'linked'), lambda: os.unlink(path),
        lambda: os.rename('/proc/self/cwd/none', path), lambda: os.symlink('x', HOST['folder'] + '/new'),
        lambda: os.mkdir(HOST['folder'] + '/new'), lambda: os.mkfifo(HOST['folder'] + '/new'))
""",
    ),
    _write(
        "through a link",
        "os.symlink(HOST['canary'], 'l'); attempt(lambda: open('l', 'w'), lambda: os.truncate('l', 0))",
    ),
    _write(
        "system folders",
        "attempt(*[lambda p=p: open(p + '/concilium-escape', 'w') for p in ('/', '/usr', '/usr/bin', '/usr/lib', '/etc', "
        "'/dev', '/sys', '/proc', '/var/tmp', '/home', '/sys/fs/cgroup', '/run', os.path.dirname(sys.executable))])",
        "a new file anywhere outside the run's folders",
    ),
    _write(
        "the interpreter",
        "attempt(lambda: open('/proc/self/exe', 'r+b'), lambda: open(os.path.realpath(sys.executable), 'ab'), "
        "lambda: open(os.path.realpath(os.__file__), 'ab'))",
        "a writable descriptor of what the next run starts from",
    ),
    _write(
        "settings of the kernel",
        "attempt(*[lambda p=p: os.open(p, os.O_WRONLY) for p in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', "
        "'/proc/sys/kernel/hostname', '/proc/sys/vm/overcommit_memory', '/sys/kernel/uevent_helper', "
        "'/proc/sys/kernel/modprobe', '/sys/power/state', '/proc/irq/0/smp_affinity', '/proc/1/oom_score_adj', '/sys/fs/cgroup/cgroup.procs', "
        "'/sys/fs/cgroup/memory/cgroup.procs', '/sys/fs/cgroup/memory/release_agent')])",
        "a setting that can be opened for writing",
    ),
    _write(
        "maps of users",
        "for name in ('uid_map', 'gid_map', 'setgroups'):\n"
        "    attempt(lambda: os.write(os.open('/proc/self/' + name, os.O_WRONLY), b'0 0 1' if name != 'setgroups' else b'allow'))",
        "an id of the host's that the run did not have",
    ),
    _write(
        "devices made",
        """
for name, number in (('mem', (1, 1)), ('null', (1, 3)), ('disk', (254, 0)), ('disk2', (8, 0))):
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        attempt(lambda: (os.mknod(name, kind | 0o666, os.makedev(*number)), open(name, 'rb').read(1)))
""",
        "a device of one's own",
    ),
    _write(
        "modes of devices",
        "attempt(lambda: os.chmod('/dev/null', 0), lambda: os.chown('/dev/null', os.getuid(), -1), lambda: os.unlink('/dev/null'), lambda: os.rename('/dev/null', '/dev/x'))",
    ),
)
