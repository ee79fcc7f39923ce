"""Attempts to use more than a run may."""

# ruff: noqa: E501 - scripts in one line are read, not wrapped

from .attempt import Attempt

MIB = 1 << 20
_SMALL = {"memory_bytes": 64 * MIB, "disk_bytes": 16 * MIB, "wall_s": 20.0, "cpu_s": 10.0, "processes": 32}


def _limit(
    name: str,
    script: str,
    *ends_by: str,
    success: str,
    stated: tuple[str, ...] = (),
    shell: bool = False,
    **limits: float,
) -> Attempt:
    return Attempt(name, "limits", success, script, shell, {**_SMALL, **limits}, ends_by, stated)


_HELD = "twice the memory held for longer than the watcher needs to see it"
_FILLED = "twice the disk limit stored"
_FILL = """
try:
    {}
except OSError as error:
    print('refused', error)
    hold()
else:
    hold(); escaped('32 MiB')
"""
_STAYS = "the run ends by itself, or outlives its limit"
_BOMBED = ("processes", "memory", "cpu-time", "wall-time")
"""Which limit meets a fork bomb first depends on how fast the kernel forks: gVisor's may burn the CPU time before."""

ATTEMPTS = (
    _limit(
        "memory of one process",
        "held = []\nfor _ in range(32): held.append(bytearray(b'x') * (4 << 20))\nhold(); escaped('128 MiB')",
        "memory",
        success=_HELD,
    ),
    _limit(
        "memory of many processes",
        """
for _ in range(8):
    if not os.fork():
        held = bytearray(b'x') * (16 << 20)
        time.sleep(3); os._exit(0)
hold(2); escaped('128 MiB')
""",
        "memory",
        success=_HELD,
    ),
    _limit(
        "memory shared and unnamed",
        """
held = []
for _ in range(32):
    area = mmap.mmap(-1, 4 << 20); area.write(bytes([1]) * (4 << 20)); held.append(area)
hold(); escaped('128 MiB')
""",
        "memory",
        success=_HELD,
    ),
    _limit(
        "memory shared by those who let go of it",
        """
area = mmap.mmap(-1, 128 << 20)
for part in range(32):
    if not os.fork():
        for offset in range(part << 22, (part + 1) << 22, 4096): area[offset] = 1
        os._exit(0)
    os.wait()
hold(); print(area[0]); escaped('128 MiB')
""",
        "memory",
        success=_HELD + "; the pages are in no process's table",
        stated=("shared memory that no process still alive has touched",),
    ),
    _limit(
        "memory in /dev/shm",
        """
try:
    with open('/dev/shm/fill', 'wb', buffering=0) as file:
        for _ in range(128): file.write(bytes([1]) * (1 << 20))
    hold(); escaped('128 MiB')
except PermissionError as error: print('refused', error)
""",
        "disk",
        "memory",
        success=_HELD,
    ),
    _limit(
        "memory in unnamed files",
        "attempt(lambda: os.memfd_create('x'), lambda: os.memfd_create('x', os.MFD_HUGETLB))",
        success="a descriptor",
    ),
    _limit("memory of System V", "call('shmget', 0, 128 << 20, 0o1600)", success="a segment"),
    _limit(
        "memory in pipes",
        """
for _ in range(15):
    if not os.fork():
        pipes = []
        try:
            while True:
                pipes.append(os.pipe()); os.set_blocking(pipes[-1][1], False)
                while True:
                    try: os.write(pipes[-1][1], bytes(65536))
                    except BlockingIOError: break
        except OSError: pass
        time.sleep(2); os._exit(0)
hold(1.5)
escaped('some 55 MiB of pipes')
""",
        "memory",
        success="pipes that hold more than the memory limit",
        stated=("kernel memory of pipes",),
        memory_bytes=44 * MIB,
    ),
    _limit("memory locked", "if libc.mlockall(3) == 0: escaped('all of it')", success="pages that cannot be swapped"),
    _limit(
        "a deep stack",
        "import resource\nattempt(lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 40, 1 << 40)))",
        success="a stack without a bound",
    ),
    _limit(
        "a fork bomb",
        "while True:\n    try: os.fork()\n    except OSError: pass",
        *_BOMBED,
        success=_STAYS,
    ),
    _limit(
        "a fork bomb of the shell",
        "bomb() { bomb | bomb & }; bomb; sleep 60",
        *_BOMBED,
        success=_STAYS,
        shell=True,
    ),
    _limit(
        "a bomb of threads",
        """
threading.stack_size(1 << 16)
try:
    while True: threading.Thread(target=time.sleep, args=(15,), daemon=True).start()
except RuntimeError: pass
hold(2)
if threading.active_count() > 34: escaped(threading.active_count())
""",
        "processes",
        success="more threads than allowed",
    ),
    _limit(
        "processes kept at the limit's edge",
        """
kept = 0
for _ in range(96):
    try:
        if not os.fork(): time.sleep(10); os._exit(0)
        kept += 1
    except OSError: break
hold(2)
if kept > 34: escaped(kept)
""",
        "processes",
        success="more processes than allowed, for longer than a look takes",
        memory_bytes=512 * MIB,
    ),
    _limit(
        "disk in one file",
        _FILL.format(
            "with open('fill', 'wb', buffering=0) as file:\n        for _ in range(32): file.write(bytes(1 << 20))"
        ),
        "disk",
        success=_FILLED,
    ),
    _limit(
        "disk in many files",
        _FILL.format("for n in range(32): open(str(n), 'wb').write(bytes(1 << 20))"),
        "disk",
        success=_FILLED,
    ),
    _limit(
        "disk in files without a name",
        _FILL.format("""held = []
    for _ in range(32):
        held.append(open('x', 'wb', buffering=0)); os.unlink('x'); held[-1].write(bytes(1 << 20))"""),
        "disk",
        success=_FILLED,
    ),
    _limit(
        "disk in a hidden folder",
        _FILL.format("os.mkdir('h', 0o300)\n    for n in range(32): open(f'h/{n}', 'wb').write(bytes(1 << 20))"),
        "disk",
        success=_FILLED,
    ),
    _limit(
        "disk reserved",
        _FILL.format("os.posix_fallocate(os.open('r', os.O_CREAT | os.O_RDWR), 0, 32 << 20)"),
        "disk",
        success=_FILLED,
    ),
    _limit(
        "disk in every folder",
        """
for folder in ('.', os.environ['OUT'], os.environ['TMPDIR'], os.environ['TMPDIR'] + '/../shm'):
    try:
        for n in range(10): open(f'{folder}/{n}', 'wb').write(bytes(1 << 20))
    except PermissionError: pass
hold()
""",
        "disk",
        success=_FILLED,
    ),
    _limit(
        "inodes",
        "try:\n    for n in range(60000): os.close(os.open(str(n), os.O_CREAT))\nexcept OSError: pass\nhold(3); escaped('60000 files')",
        "disk",
        "cpu-time",
        "memory",
        "wall-time",  # slow disks
        success="more files than a run may have",
        stated=("how many files a run makes is watched",),
    ),
    _limit(
        "inodes as folders",
        "try:\n    for n in range(40000): os.mkdir(str(n))\nexcept OSError: pass\nhold(3); escaped('40000 folders')",
        "disk",
        "cpu-time",
        "memory",
        "wall-time",  # slow disks
        success="more files than a run may have",
        stated=("how many files a run makes is watched",),
    ),
    _limit("output", "while True: os.write(1, b'x' * 65536)", "output", success="more output than a run may print"),
    _limit(
        "output of errors by many",
        "for _ in range(4): os.fork()\nwhile True: os.write(2, b'x' * 65536)",
        "output",
        memory_bytes=512 * MIB,
        success="more output than a run may print",
    ),
    _limit("an endless loop", "while True: pass", "cpu-time", success=_STAYS, cpu_s=1.0),
    _limit(
        "endless loops",
        "for _ in range(4): os.fork()\nwhile True: pass",
        "cpu-time",
        memory_bytes=512 * MIB,
        success=_STAYS,
        cpu_s=1.0,
    ),
    _limit(
        "CPU time of short lives",
        """
def burn(seconds):
    deadline = time.process_time() + seconds
    while time.process_time() < deadline: pass
deadline = time.monotonic() + 6
while time.monotonic() < deadline:
    if not os.fork(): burn(0.05); os._exit(0)
    os.wait()
escaped('6 s of a limit of 1')
""",
        "cpu-time",
        success=_STAYS,
        cpu_s=1.0,
    ),
    _limit(
        "CPU time that nobody waits for",
        """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
deadline = time.monotonic() + 6
while time.monotonic() < deadline:
    pid = os.fork()
    if not pid:
        end = time.process_time() + 0.01
        while time.process_time() < end: pass
        os._exit(0)
    try: os.waitpid(pid, 0)
    except ChildProcessError: pass
escaped('some 4 s of a limit of 1')
""",
        "cpu-time",
        success=_STAYS,
        stated=("CPU time of processes whose parent ignores",),
        cpu_s=1.0,
    ),
    _limit("a long sleep", "time.sleep(60)", "wall-time", success=_STAYS, wall_s=0.5),
    _limit(
        "signals ignored",
        """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: time.sleep(1)
""",
        "wall-time",
        success=_STAYS,
        wall_s=0.5,
    ),
    _limit(
        "standard streams closed",
        "os.closerange(0, 3)\nif not os.fork(): os.setsid()\nwhile True: time.sleep(1)",
        "wall-time",
        success=_STAYS,
        wall_s=0.5,
    ),
    _limit(
        "a stopped process",
        "os.kill(0, signal.SIGSTOP)\nescaped('it went on')",
        "wall-time",
        success=_STAYS,
        wall_s=0.5,
    ),
)
