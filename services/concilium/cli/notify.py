"""Telling a service manager how the mesh is (sd_notify(3)): one datagram to the socket it names, if it names one."""

import asyncio
import os
import socket

from concilium.cli import lifecycle
from concilium.home import Home

LOOK_EVERY_S = 0.5


def notify(text: str) -> None:
    """Send a state such as ``READY=1`` to the service manager, if there is one."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    # A name that begins with @ is in the abstract namespace (unix(7)).
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address)
        sender.send(text.encode())


async def tell_when_ready(home: Home) -> None:
    """Say once that every process of the mesh is ready."""
    whole = False
    while not whole:
        await asyncio.sleep(LOOK_EVERY_S)
        whole = all(entry.state == "running" for entry in await asyncio.to_thread(lifecycle.status, home))
    notify("READY=1\nSTATUS=every process is ready")
