"""Attempts to talk to anybody outside."""

from .attempt import Attempt


def _network(name: str, script: str, success: str = "a socket, or a byte that arrives at the host") -> Attempt:
    return Attempt(name, "network", success, script)


ATTEMPTS = (
    _network("TCP over IPv4", "attempt(lambda: socket.create_connection(('127.0.0.1', HOST['tcp']), 2).send(b'x'))"),
    _network("TCP over IPv6", "attempt(lambda: socket.socket(socket.AF_INET6).connect(('::1', HOST['tcp'])))"),
    _network(
        "UDP",
        "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', HOST['udp'])))",
    ),
    _network(
        "listening",
        "attempt(lambda: socket.socket(socket.AF_INET).bind(('127.0.0.1', 0)), lambda: socket.create_server(('', 0)))",
    ),
    _network("names", "attempt(lambda: socket.getaddrinfo('example.org', 80))"),
    _network("raw ICMP", "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))"),
    _network("unix socket by path", "attempt(lambda: socket.socket(socket.AF_UNIX).connect(HOST['unix']))"),
    _network(
        "unix socket, abstract", "attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + HOST['abstract']))"
    ),
    _network(
        "unix datagram through a pair",
        """
pair = None
attempt(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '\\0' + HOST['abstract']),
        lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0].connect('\\0' + HOST['abstract']),
        lambda: socket.socketpair()[0].connect('\\0' + HOST['abstract']))
""",
    ),
    _network("NETLINK", "attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))"),
    _network("PACKET", "attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))"),
    _network("VSOCK", "attempt(lambda: socket.socket(40, socket.SOCK_STREAM))"),
    _network("ALG", "attempt(lambda: socket.socket(38, socket.SOCK_SEQPACKET))"),
    _network(
        "every other family",
        "attempt(*[lambda f=f, k=k: socket.socket(f, k) for f in range(46) for k in (1, 2, 3, 5)])",
    ),
    _network(
        "a socket left open",
        """
for number in range(1024):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode): escaped(f'descriptor {number} is a socket')
    except OSError: pass
""",
    ),
    _network("io_uring", "call('io_uring_setup', 8, ctypes.create_string_buffer(256))"),
    _network(
        "a socket by the 32-bit gate",
        """
import platform
if platform.machine() == 'x86_64':
    # socketcall(SYS_SOCKET) by int 0x80: eax=102, ebx=1, ecx=arguments below 4 GiB
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex('53b866000000bb0100000089f9cd805bc3'))
    low = libc.mmap
    low.restype = ctypes.c_void_p
    low.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    area = low(None, 4096, 3, 0x62, -1, 0)  # MAP_32BIT
    ctypes.memmove(area, struct.pack('=III', 2, 1, 0), 12)
    run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    result = run(area)
    print('returned', result)
    if 0 <= result < 1024: escaped('a socket')
""",
        "a descriptor; a filter that knows one architecture only would let it pass",
    ),
    _network(
        "a socket by the x32 gate",
        """
import platform
if platform.machine() == 'x86_64':
    if libc.syscall(ctypes.c_long(0x40000000 | 41), 2, 1, 0) >= 0: escaped('a socket')
""",
    ),
)
