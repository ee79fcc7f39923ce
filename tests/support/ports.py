"""Ports for servers that tests start.

They lie below those that the kernel gives to outgoing connections: a port that was found free there may be one's no
more when its server begins to listen. Processes of tests that run side by side count on from each other.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 10_000, 30_000


def free_port() -> int:
    """Return a free port of this machine."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        first = _next(count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _next(count: int) -> int:
    path = Path(tempfile.gettempdir()) / f"concilium-tests-{os.getuid()}.ports"
    with path.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        said = file.read()
        first = int(said) if said.isdecimal() else FIRST
        if not FIRST <= first <= LAST - count:
            first = FIRST
        file.truncate(0)
        file.write(str(first + count))
    return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
