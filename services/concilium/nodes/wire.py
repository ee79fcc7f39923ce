"""What is said on a link before bytes flow: short lines, from home first; and how bytes flow then.

Home says ``agent <name>``, ``control`` or ``refused <why>``. The node answers ``ok`` or ``no <why>``. After ``ok`` to
an agent the connection is that agent's; after ``ok`` to control, home asks and the node answers in lines of JSON.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from concilium.contracts.errors import ConciliumError
from concilium.nodes.authority import Peer
from concilium.nodes.tls import Identity, certificate_behind, peer_behind

LINE_BYTES: Final = 16 * 1024
CHUNK_BYTES: Final = 64 * 1024
CONNECT_S: Final = 10.0
"""Making a connection, handshake included."""
ANSWER_S: Final = 10.0
"""One line in answer to another."""
IDLE_S: Final = 120.0
"""A stream on which nothing moves for so long is closed; agents that work say something every 15 s."""
LINGER_S: Final = 5.0
CLOSE_S: Final = 15.0
"""What is left to send may take this long when a stream closes."""
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))
"""A peer that is gone without a word is noticed within half a minute (tcp(7); the last is RFC 5482)."""


class LinkBroken(ConciliumError):
    """The other end went away, was silent for too long, or did not speak as a link does."""

    type, title, status = "link-broken", "The link to the node broke", 503


class LinkSilent(LinkBroken):
    """The other end said nothing in time."""


class PeerRefused(ConciliumError):
    """The other end said no, and why."""

    type, title, status = "peer-refused", "The other end of the link refused", 409


BROKEN: Final = (OSError, ssl.SSLError, EOFError, TimeoutError)
"""What a connection that breaks raises; `asyncio.IncompleteReadError` is an EOFError."""


@dataclass(eq=False)
class Stream:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def ended(self) -> bool:
        """Whether the other end is known to be gone."""
        return self.reader.at_eof() or self.writer.is_closing() or self.reader.exception() is not None

    def peer(self) -> Peer:
        """Return who is at the other end. Raises `Invalid`."""
        return peer_behind(self.writer.get_extra_info("ssl_object"))

    def certificate(self) -> x509.Certificate:
        """Return the certificate that the other end has shown. Raises `Invalid`."""
        return certificate_behind(self.writer.get_extra_info("ssl_object"))

    async def say(self, line: str) -> None:
        """Send a line. Raises `LinkBroken`."""
        try:
            async with asyncio.timeout(ANSWER_S):
                self.writer.write(line.replace("\n", " ").encode() + b"\n")
                await self.writer.drain()
        except BROKEN as error:
            raise LinkBroken(f"nothing could be sent: {type(error).__name__}") from error

    async def hear(self, within_s: float = ANSWER_S) -> str:
        """Return the next line. Raises `LinkSilent`, and `LinkBroken` also for one that is too long or not text."""
        try:
            async with asyncio.timeout(within_s):
                raw = await self.reader.readuntil(b"\n")
            if len(raw) > LINE_BYTES:
                raise LinkBroken(f"a line of more than {LINE_BYTES} bytes")
            return raw[:-1].decode()
        except TimeoutError as error:
            raise LinkSilent(f"no line came within {within_s:.0f} s") from error
        except (*BROKEN, asyncio.LimitOverrunError, UnicodeDecodeError) as error:
            raise LinkBroken(f"no line came: {type(error).__name__}") from error

    async def ask(self, wish: str) -> None:
        """Say, as home, what is wanted, and wait for the yes. Raises `LinkBroken`, `PeerRefused`."""
        await self.say(wish)
        answer, _, why = (await self.hear()).partition(" ")
        if answer == "no":
            raise PeerRefused(why[:300])
        if answer != "ok":
            raise LinkBroken("an answer that is neither yes nor no")

    async def linger(self) -> None:
        """Read what still comes and drop it, until the other end has read what it was sent and closes, or too long."""
        with suppress(*BROKEN):
            async with asyncio.timeout(LINGER_S):
                while await self.reader.read(CHUNK_BYTES):
                    pass

    def abort(self) -> None:
        """Close at once; what was not sent is dropped."""
        self.writer.transport.abort()

    async def close(self) -> None:
        """Send what is left and close; at once when cancelled."""
        self.writer.close()
        try:
            with suppress(*BROKEN):
                async with asyncio.timeout(CLOSE_S):
                    # Shielded: a cancelled wait would cancel the future that all who close this connection wait for.
                    await asyncio.shield(self.writer.wait_closed())
        finally:
            self.abort()


async def dial(address: tuple[str, int], identity: Identity) -> Stream:
    """Connect to the other end of a link. Raises `LinkBroken`, `Unavailable` without a certificate of one's own."""
    context = identity.context(listens=False)
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                *address, ssl=context, ssl_handshake_timeout=CONNECT_S, ssl_shutdown_timeout=CLOSE_S, limit=CHUNK_BYTES
            )
    except BROKEN as error:
        raise LinkBroken(f"{address[0]}:{address[1]}: {reason_of(error)}") from error
    watch(writer.get_extra_info("socket"))
    return Stream(reader, writer)


async def connect(host: str, port: int) -> Stream:
    """Connect to a plain port on this machine. Raises `LinkBroken`."""
    try:
        async with asyncio.timeout(CONNECT_S):
            return Stream(*await asyncio.open_connection(host, port, limit=CHUNK_BYTES))
    except BROKEN as error:
        raise LinkBroken(f"{host}:{port}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """Return in a few words why a connection failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    return str(error)[:200] or type(error).__name__


def watch(connection: socket.socket) -> None:
    """Let the kernel notice when the other end of a TCP connection is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in _KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def forward(one: Stream, other: Stream) -> None:
    """Carry bytes both ways until either side ends or nothing moves for `IDLE_S`; then close both."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(IDLE_S) as idle:

            async def carry(source: Stream, target: Stream) -> None:
                while data := await source.reader.read(CHUNK_BYTES):
                    idle.reschedule(loop.time() + IDLE_S)
                    target.writer.write(data)
                    await target.writer.drain()

            await _first(carry(one, other), carry(other, one))
    except BROKEN:
        one.abort()
        other.abort()
    finally:
        for stream in (one, other):
            stream.writer.close()  # before anything is awaited: who is cancelled here leaves nothing open
        await asyncio.gather(one.close(), other.close())


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Await the first of several works to end, and end the rest; raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_all(tasks)
    for task in done:
        task.result()


async def end_all(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they are over."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
