"""Machines that were invited into a mesh, without the mesh."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from concilium.contracts.base import utc_now
from concilium.contracts.nodes import Dial, Node, NodeState
from concilium.nodes.node_end.membership import Membership
from support.ports import free_port

Invite = Callable[..., tuple[Node, str]]
Enrol = Callable[..., Membership]


def invited(name: str = "vps-1", dial: Dial = Dial.HOME, valid_s: float = 3600, address: str = "") -> Node:
    return Node(
        name=name,
        state=NodeState.INVITED,
        dial=dial,
        address=address or f"127.0.0.1:{free_port()}",
        agents=("code",),
        invitation=f"inv_{name}",
        invited_until=utc_now() + timedelta(seconds=valid_s),
        created_at=utc_now(),
    )


@asynccontextmanager
async def echo(port: int = 0) -> AsyncIterator[int]:
    """Yield the port of an agent that says everything back; ends when its last caller has gone."""
    callers: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.add(asyncio.current_task())
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]
    async with asyncio.timeout(60):
        await asyncio.gather(*filter(None, callers))
