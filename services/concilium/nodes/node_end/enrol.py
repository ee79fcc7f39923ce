"""Joining: serve home with the invitation's certificate until it has signed this machine's own."""

import asyncio

from concilium.contracts.base import utc_now
from concilium.contracts.errors import Unavailable
from concilium.contracts.nodes import Dial
from concilium.nodes.node_end.link import NodeLink
from concilium.nodes.node_end.membership import Membership
from concilium.nodes.node_end.service import Service
from concilium.nodes.wire import end_all


async def enrol(membership: Membership) -> None:
    """Return once home has signed this machine's certificate.

    Raises:
        PeerRefused: home turned the invitation down; it says why.
        Unavailable: home was not met before the invitation ended.
        Invalid: the address to listen on cannot be used.
    """
    certified = asyncio.Event()
    link = asyncio.create_task(NodeLink(membership, Service(membership, {}, certified.set)).run())
    met = asyncio.create_task(_wait(certified))
    left_s = max(1.0, (membership.joined.until - utc_now()).total_seconds())
    try:
        await asyncio.wait({link, met}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        if certified.is_set():
            return
        if link.done():
            link.result()
        raise Unavailable(_unmet(membership))
    finally:
        await end_all([link, met])


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _unmet(membership: Membership) -> str:
    joined = membership.joined
    if joined.dial is Dial.NODE:
        return f"home was not reached at {joined.address} before the invitation ended; make another"
    return f"home did not call at {joined.address} before the invitation ended; is the port open from outside?"
