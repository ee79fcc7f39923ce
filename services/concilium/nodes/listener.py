"""The end that is dialled: takes connections, and lets nobody who shows no certificate hold on to anything.

At most `HANDSHAKES` connections may be in their handshake; when one more comes the oldest of them is dropped. A true
peer needs a few round trips, so that a stranger would have to open as many connections in that time, again and again.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from concilium.contracts.errors import ConciliumError, Invalid
from concilium.nodes.authority import Peer
from concilium.nodes.tls import Identity
from concilium.nodes.wire import BROKEN, CHUNK_BYTES, CLOSE_S, Stream, end_all, reason_of, watch

log = structlog.get_logger(__name__)

HANDSHAKES: Final = 64
HANDSHAKE_S: Final = 5.0
PEERS: Final = 512
"""Connections with a good certificate at the same time."""
BACKLOG: Final = 128

OnPeer = Callable[[Stream, Peer], Awaitable[None]]
"""Takes a connection over: closes it, or keeps it."""


class Listener:
    """Takes connections on an address until cancelled."""

    def __init__(self, identity: Identity, on_peer: OnPeer) -> None:
        self._identity = identity
        self._on_peer = on_peer
        self._new: set[socket.socket] = set()
        """Connections whose task has not begun: one that is cancelled before that closes nothing."""
        self._shaking: dict[asyncio.Task[None], None] = {}
        self._peers: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen while the context lasts; yields the port. Raises `Invalid` when the address cannot be listened on."""
        try:
            door = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
        except OSError as error:
            raise Invalid(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        door.setblocking(False)
        accepting = asyncio.create_task(self._accept(door))
        try:
            yield door.getsockname()[1]
        finally:
            await end_all([accepting, *self._shaking, *self._peers])
            for connection in self._new:
                connection.close()
            door.close()

    async def _accept(self, door: socket.socket) -> None:
        while True:
            await _readable(door)
            try:
                # Not `loop.sock_accept`: what that has accepted is lost when it is cancelled at the wrong moment.
                connection, _ = door.accept()
            except BlockingIOError:
                continue
            except OSError as error:  # the other end was gone already, or this process has too many files open
                log.warning("nodes.accept", error=str(error))
                await asyncio.sleep(0.1)
                continue
            self._take(connection)
            await asyncio.sleep(0)  # accepting does not wait while more are there: let the new one begin

    def _take(self, connection: socket.socket) -> None:
        if len(self._shaking) >= HANDSHAKES:
            oldest = next(iter(self._shaking))
            self._shaking.pop(oldest)
            oldest.cancel()
        self._new.add(connection)
        task = asyncio.create_task(self._greet(connection))
        self._shaking[task] = None
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._shaking.pop(task, None)
        self._peers.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("nodes.peer", exc_info=task.exception())

    async def _greet(self, connection: socket.socket) -> None:
        """Make the handshake and hand the peer over."""
        self._new.discard(connection)
        try:
            context = self._identity.context(listens=True)
        except (*BROKEN, ConciliumError) as error:
            log.warning("nodes.unready", reason=_told(error))
            connection.close()
            return
        try:
            stream = await self._shake(connection, context)
            peer = stream.peer()
        except (*BROKEN, ConciliumError) as error:
            log.info("nodes.stranger", reason=_told(error))
            _drop(connection)
            return
        except asyncio.CancelledError:
            _drop(connection)
            await _closed(connection)
            raise
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._shaking.pop(task, None)
        if len(self._peers) >= PEERS:
            log.warning("nodes.full", peers=PEERS, peer=peer.name)
            stream.abort()
            return
        self._peers.add(task)
        try:
            await self._on_peer(stream, peer)
        except ConciliumError as error:
            log.info("nodes.peer", peer=peer.name, detail=error.detail)
            stream.abort()
        except BaseException:
            stream.abort()
            raise

    async def _shake(self, connection: socket.socket, context: ssl.SSLContext) -> Stream:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        watch(connection)
        reader = asyncio.StreamReader(limit=CHUNK_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        async with asyncio.timeout(HANDSHAKE_S):
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=CLOSE_S,
            )
        return Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _readable(door: socket.socket) -> None:
    """Wait until somebody connects."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(door, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(door)


def _told(error: BaseException) -> str:
    return error.detail if isinstance(error, ConciliumError) else reason_of(error)


def _drop(connection: socket.socket) -> None:
    """End a connection at once; its transport, which would still wait for the other end, closes it then."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


async def _closed(connection: socket.socket) -> None:
    """Wait until the transport of a dropped connection has noticed, so that nothing is left when the loop ends."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            while connection.fileno() != -1:  # noqa: ASYNC110 - the transport is awaited, it sets no event here
                await asyncio.sleep(0.001)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
