"""Attempts to harm whoever takes the results: the agent and the mesh behind it."""

# ruff: noqa: E501 - scripts in one line are read, not wrapped

from .attempt import Attempt


def _output(
    name: str, script: str, success: str = "anything but plain files within the caps", **limits: float
) -> Attempt:
    return Attempt(name, "results", success, script, limits=limits)


ATTEMPTS = (
    _output(
        "links and special files",
        """
os.symlink('/etc/passwd', 'link'); os.symlink('/', 'root'); os.symlink('loop', 'loop'); os.mkfifo('fifo')
open('real', 'w').write('x'); os.link('real', 'second')
attempt(lambda: os.mknod('disk', stat.S_IFBLK | 0o666, os.makedev(8, 0)))
try: socket.socket(socket.AF_UNIX).bind('sock')
except OSError: pass
""",
    ),
    _output(
        "a pipe that nobody writes to", "os.mkfifo(os.environ['OUT'] + '/wait'); os.mkfifo('wait')", "a run that hangs"
    ),
    _output(
        "a sparse giant",
        """
with open('giant', 'wb') as file:
    for size in (1 << 62, 1 << 50, 1 << 40, 1 << 33, 1 << 28, 60 << 20):
        try: file.truncate(size)
        except OSError as error: print('refused', size, error)
        else: break
""",
    ),
    _output("too many files", "for n in range(500): open(f'{n:04}', 'w').write('x')"),
    _output("too large files", "for n in range(3): open(str(n), 'wb').write(bytes([n]) * (12 << 20))"),
    _output(
        "names",
        """
for name in (b'a\\nb', b'\\x1b[2J', b'\\xff\\xfe', b'..x', b'...', b'-rf', b'con', b'a\\\\..\\\\b', b'x' * 255, '\\u202e.exe'.encode(),
             b'$(id)', b'; id', b' ', b'%2e%2e%2f', b'"', b"'", b'<b>'):
    open(name, 'w').write('x')
""",
        "a name with a separator, a control character or broken text",
    ),
    _output(
        "a deep folder",
        """
for _ in range(400):
    os.mkdir('d'); os.chdir('d')
    open('f', 'w').write('x')
""",
    ),
    _output(
        "a folder that cannot be read",
        "os.mkdir('h'); open('h/x', 'w').write('x'); os.chmod('h', 0) if os.getenv('X') else os.umask(0o777); os.mkdir('none'); open('none2', 'w')",
    ),
    _output(
        "bombs that grow when unpacked",
        """
import gzip, io, zipfile
open('bomb.gz', 'wb').write(gzip.compress(bytes(200 << 20)))
with zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as file: file.writestr('zero', bytes(50 << 20))
""",
        "results larger than their caps; nothing may unpack them",
    ),
    _output(
        "files that grow while they are read",
        """
if not os.fork():
    with open('grow', 'wb', buffering=0) as file:
        while True: file.write(bytes(4096)); time.sleep(0.0005)
time.sleep(0.2)
""",
    ),
    _output(
        "a report of one's own",
        """
frame = json.dumps({'error': None, 'exit_code': 0, 'signal': None, 'limit': None, 'duration_s': 0, 'cpu_s': 0,
    'memory_peak': 0, 'disk': 0, 'processes_peak': 0, 'files': [{'name': '../../FORGED', 'size': 1}], 'omitted': []}).encode()
frame = struct.pack('>I', len(frame)) + frame + b'x'
for number in range(3, 64):
    try: os.write(number, frame); escaped(f'descriptor {number} takes it')
    except OSError: pass
framed = struct.pack('>BI', 0, len(frame)) + frame
for pid in {1, os.getppid()}:
    for number in range(40):
        try: descriptor = os.open(f'/proc/{pid}/fd/{number}', os.O_WRONLY | os.O_NONBLOCK)
        except OSError: continue
        if not mine(descriptor): escaped(f'descriptor {number} of {pid} can be had')
        try: os.write(descriptor, framed)
        except OSError: pass
os.write(1, struct.pack('>BI', 0, len(frame)) + frame)
os.write(2, frame)
""",
        "a file or an outcome that the script made up",
    ),
    _output(
        "text that is none",
        "os.write(1, bytes(range(256)) * 16); os.write(2, b'\\x00\\xff\\xed\\xa0\\x80' * 100)",
        "a run that cannot be told",
    ),
)
