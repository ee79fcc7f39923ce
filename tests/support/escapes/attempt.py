"""What an attempt to break out is, and what every one of them starts with.

An attempt is data: a script, and how its success would show. What counts as success whatever the attempt: the script
prints ``ESCAPED``; the host's secret comes back, in the output or in a file; something of the host's has changed; a
connection arrives; the run outlives its wall clock; something of it is left behind; or it returns more than it may.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRELUDE = """
import ctypes, errno, fcntl, json, mmap, os, resource, signal, socket, stat, struct, sys, threading, time
HOST = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def escaped(what):
    print('ESCAPED', what, flush=True)

def attempt(act, *more):
    'Each act must fail.'
    for each in (act, *more):
        try:
            value = each()
        except Exception as error:
            print('refused', type(error).__name__, error, flush=True)
        else:
            escaped(repr((each.__defaults__, value))[:200])

def call(name, *arguments):
    'The system call must not reach the kernel: an answer other than "not permitted" or "no such call" came from it.'
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(HOST['calls'][name]), *arguments)
    number = ctypes.get_errno()
    if result != -1 or number not in (errno.EPERM, errno.ENOSYS, errno.EACCES):
        escaped(f'{name}: {result} {errno.errorcode.get(number)}')
    else:
        print('refused', name, errno.errorcode[number], flush=True)

def mine(descriptor):
    'Whether it is one of the standard streams of this process, or what every process may read.'
    same = lambda a, b: (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    return any(same(os.fstat(descriptor), each) for each in (*map(os.fstat, (0, 1, 2)), os.stat('/proc/meminfo')))

def hold(seconds=0.6):
    'Long enough for a watcher to see what is held.'
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        name: unique in its family.
        family: what it is about.
        success: how success would show, in words.
        script: Python, run after `PRELUDE`; with ``shell`` a shell script without it.
        limits: fields of `Limits` that differ from the defaults here.
        ends_by: limits, one of which must end the run, unless it was refused what it asked for.
        stated: parts of a rung's own statement of what it does not bound; where a rung states one of them, success
            there is no surprise and is shown as such.
    """

    name: str
    family: str
    success: str
    script: str
    shell: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    ends_by: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, unique among all."""
        return f"{self.family}: {self.name}"
