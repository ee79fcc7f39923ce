"""One enrolled node at home's end: the connections to it, and the ports behind which its agents are."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog

from concilium.contracts.base import utc_now
from concilium.contracts.errors import ConciliumError
from concilium.contracts.nodes import Dial, Node, split_address
from concilium.nodes.authority import Peer, Role
from concilium.nodes.tls import Identity
from concilium.nodes.wire import LinkBroken, Stream, dial, end_all, forward

log = structlog.get_logger(__name__)

OPEN_S: Final = 10.0
"""How long a spare connection is waited for."""
SPARES: Final = 16
STREAMS: Final = 256
_CHUNK: Final = 64 * 1024
AWAY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
"""What a caller of an agent hears whose node is not reached: nothing of the request has left home."""


class Guest:
    """A node that home talks with."""

    def __init__(self, node: Node, identity: Identity) -> None:
        self.node = node
        self._identity = identity
        self._spares: asyncio.Queue[Stream] = asyncio.Queue(SPARES)
        self._streams: set[Stream] = set()
        self._callers: set[asyncio.Task[None]] = set()
        self._servers: dict[str, asyncio.Server] = {}

    def expects(self, peer: Peer) -> bool:
        """Whether a peer is this node, with a key of its own."""
        return (peer.role, peer.name) == (Role.NODE, self.node.name) and self.node.has_key(peer.fingerprint, utc_now())

    def keep(self, spare: Stream) -> None:
        """Keep a connection that the node made, until it is used; the oldest goes when there are too many."""
        if self._spares.full():
            self._spares.get_nowait().abort()
        self._spares.put_nowait(spare)

    @asynccontextmanager
    async def stream(self, wish: str) -> AsyncIterator[Stream]:
        """Have a connection on which the node has said yes to a wish. Raises `LinkBroken`, `PeerRefused`."""
        if len(self._streams) >= STREAMS:
            raise LinkBroken(f"more than {STREAMS} streams to '{self.node.name}'")
        opened = await (self._dial(wish) if self.node.dial is Dial.HOME else self._take(wish))
        self._streams.add(opened)
        try:
            yield opened
        finally:
            self._streams.discard(opened)
            opened.abort()

    async def _dial(self, wish: str) -> Stream:
        stream = await dial(split_address(self.node.address), self._identity)
        try:
            if not self.expects(stream.peer()):
                raise LinkBroken(f"at {self.node.address} is not '{self.node.name}' with a key of its own")
            await stream.ask(wish)
        except BaseException:
            stream.abort()
            raise
        return stream

    async def _take(self, wish: str) -> Stream:
        """Use a spare connection; one that has died meanwhile is passed over."""
        try:
            async with asyncio.timeout(OPEN_S):
                while True:
                    spare = await self._spares.get()
                    try:
                        if not spare.ended:
                            await spare.ask(wish)
                            return spare
                    except LinkBroken as error:
                        log.debug("nodes.spare", node=self.node.name, detail=error.detail)
                    except BaseException:
                        spare.abort()
                        raise
                    spare.abort()
        except TimeoutError as error:
            raise LinkBroken(f"'{self.node.name}' has made no connection for {OPEN_S:g} s") from error

    async def open_ports(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Listen on this machine for callers of the agents; return the ports, the wanted ones where they are free."""
        for agent in self.node.agents:
            self._servers[agent] = await self._open_port(agent, wanted.get(agent, 0))
        return {agent: server.sockets[0].getsockname()[1] for agent, server in self._servers.items()}

    async def _open_port(self, agent: str, port: int) -> asyncio.Server:
        async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine runs in a task
            self._callers.add(task)
            task.add_done_callback(self._callers.discard)
            await self._carry(agent, Stream(reader, writer))

        try:
            return await asyncio.start_server(called, "127.0.0.1", port, limit=_CHUNK)
        except OSError:
            return await asyncio.start_server(called, "127.0.0.1", 0, limit=_CHUNK)

    async def _carry(self, agent: str, caller: Stream) -> None:
        try:
            async with self.stream(f"agent {agent}") as remote:
                await forward(caller, remote)
        except ConciliumError as error:
            log.info("nodes.unreached", node=self.node.name, agent=agent, detail=error.detail)
            caller.writer.write(AWAY)
            await caller.linger()  # closing with a request half read would reset the answer away
        finally:
            caller.abort()

    async def end(self) -> None:
        """Cut everything: ports, streams, spare connections."""
        for server in self._servers.values():
            server.close()
        for stream in tuple(self._streams):
            stream.abort()
        while not self._spares.empty():
            self._spares.get_nowait().abort()
        await end_all(self._callers)
