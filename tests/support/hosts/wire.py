"""A wire between this network namespace and another: a TUN device in each, and this process between them.

    python -m support.hosts.wire <device here> <device there> <namespace there>

Each line on standard input is an order, a JSON object of `Manners`, answered by one line. The end of the input is the
end of the wire: the devices go with the process, so nothing is left behind when a test is killed.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_CLONE_NEWNET: Final = 0x40000000
_PACKET: Final = 65536
_AT_ONCE: Final = 64
"""Packets read from one end before the other gets its turn."""


@dataclass(frozen=True)
class Manners:
    """How the wire treats packets, either way."""

    delay_s: float = 0.0
    """Each way: a round trip takes twice as long."""
    loss: float = 0.0
    """The part of the packets that is lost, 0 to 1."""
    cut: bool = False
    """Nothing passes."""


def open_tun(name: str) -> int:
    """Return a new TUN device of this thread's namespace, non-blocking, without packet headers."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def enter(namespace: str) -> None:
    """Move this thread into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(namespace).open("rb") as handle:
        if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")


@dataclass
class Wire:
    """Two devices and what is on its way between them."""

    ends: tuple[int, int]
    manners: Manners = Manners()
    _dice: random.Random = field(default_factory=lambda: random.Random(7))
    _way: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    """When it arrives, its number, where, the packet."""
    _count: int = 0

    def serve(self) -> None:
        """Pass packets on until the input ends."""
        poll = select.poll()
        for handle in (*self.ends, sys.stdin.fileno()):
            poll.register(handle, select.POLLIN)
        while True:
            wait = None if not self._way else max(0.0, self._way[0][0] - time.monotonic()) * 1000
            for handle, _ in poll.poll(wait):
                if handle == sys.stdin.fileno():
                    if not self._obey():
                        return
                else:
                    self._take(handle)
            self._deliver()

    def _obey(self) -> bool:
        line = sys.stdin.readline()
        if not line:
            return False
        self.manners = Manners(**json.loads(line))
        if self.manners.cut:
            self._way.clear()
        print("done", flush=True)
        return True

    def _take(self, source: int) -> None:
        target = self.ends[1] if source == self.ends[0] else self.ends[0]
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(source, _PACKET)
            except BlockingIOError:
                return
            if self.manners.cut or self._dice.random() < self.manners.loss:
                continue
            self._count += 1
            heapq.heappush(self._way, (time.monotonic() + self.manners.delay_s, self._count, target, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._way and self._way[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._way)
            try:
                os.write(target, packet)
            except OSError:
                continue  # the device is down or full: as on any wire, the packet is lost


def main(here: str, there: str, namespace: str) -> None:
    """Be the wire."""
    own = f"/proc/{os.getpid()}/ns/net"
    with Path(own).open("rb") as back:
        near = open_tun(here)
        enter(namespace)
        far = open_tun(there)
        ctypes.CDLL(None).setns(back.fileno(), _CLONE_NEWNET)
    print("ready", flush=True)
    Wire((near, far)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
