"""Bounds on the process that reads a stranger's file, set before it sees a byte of it."""

import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def confine(memory_bytes: int, cpu_s: int) -> None:
    """Bound this process: memory, processor time, no further file or socket, no core, gone with its server.

    It is a bound, not a sandbox: it is still a process of the agent's user.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # what parsers and decoders print goes nowhere
        os.dup2(nowhere, descriptor)
    os.environ.clear()
    loaded = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    _limit(resource.RLIMIT_AS, loaded + memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_s, spare=1)  # at the soft limit comes SIGXCPU, which tells why; at the hard one not
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 0)  # what is open stays open; nothing more is


def _limit(what: int, amount: int, spare: int = 0) -> None:
    _, most = resource.getrlimit(what)
    hard = amount + spare if most == resource.RLIM_INFINITY else min(amount + spare, most)
    resource.setrlimit(what, (min(amount, hard), hard))
