"""The node's side of making connections: it listens for home, or dials home and waits to be asked."""

import asyncio
import random
from typing import Final, Never

import structlog

from concilium.contracts.errors import ConciliumError
from concilium.contracts.nodes import Dial, split_address
from concilium.nodes.authority import Peer
from concilium.nodes.listener import Listener
from concilium.nodes.node_end.membership import Membership
from concilium.nodes.node_end.service import Service, check_home
from concilium.nodes.wire import LinkBroken, LinkSilent, PeerRefused, Stream, dial, end_all

log = structlog.get_logger(__name__)

SPARES: Final = 4
"""Connections that wait at home's end to be used."""
SPARE_S: Final = 45.0
"""A spare connection is replaced after about this time: a dead one is noticed, a new certificate shown."""
STREAMS: Final = 256
BACKOFF_BASE_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0


class NodeLink:
    """Keeps the link of a node until cancelled, or until home refuses it while it has not enrolled."""

    def __init__(self, membership: Membership, service: Service) -> None:
        self._membership = membership
        self._service = service
        self._streams: set[asyncio.Task[None]] = set()
        self._refused: asyncio.Future[Never] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve home. Raises `PeerRefused` when home turns an invitation down, `Invalid` for an unusable address."""
        try:
            if self._membership.joined.dial is Dial.HOME:
                await self._listen()
            else:
                await self._dial()
        finally:
            await end_all(self._streams)
            self._refused.cancel()

    async def _listen(self) -> None:
        host, port = split_address(self._membership.joined.listen)
        async with Listener(self._membership.identity, self._met).listening(host, port):
            log.info("nodes.listening", host=host, port=port)
            await self._refused

    async def _met(self, stream: Stream, _: Peer) -> None:
        check_home(stream)
        await self._serve(stream, await stream.hear())

    async def _dial(self) -> None:
        count = SPARES if self._membership.enrolled else 1
        workers = [asyncio.create_task(self._keep_spare()) for _ in range(count)]
        try:
            await self._refused
        finally:
            await end_all(workers)

    async def _keep_spare(self) -> None:
        failures = 0
        while True:
            try:
                await self._spare()
                failures = 0
            except ConciliumError as error:
                self._note(error)
                failures += 1
                log.info("nodes.away", detail=error.detail, failures=failures)
            except Exception:  # a full disk, too many open files: it may pass
                failures += 1
                log.exception("nodes.spare")
            if failures:
                await asyncio.sleep(backoff(failures))

    async def _spare(self) -> None:
        """Dial home and wait until it uses the connection, or for its time; returns when another is to be made."""
        stream = await dial(split_address(self._membership.joined.address), self._membership.identity)
        try:
            check_home(stream)
            wish = await self._wish(stream)
        except BaseException:
            stream.abort()
            raise
        if not wish:
            await stream.close()
            return
        if len(self._streams) >= STREAMS:
            stream.abort()
            raise LinkBroken(f"more than {STREAMS} streams")
        task = asyncio.create_task(self._serve(stream, wish))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        if wish.startswith("refused"):
            await task
            raise LinkBroken(wish)
        if not self._membership.enrolled:
            await task  # another connection would show the invitation again

    async def _wish(self, stream: Stream) -> str:
        """Return home's first line; empty when the connection's time is over."""
        try:
            return await stream.hear(SPARE_S * random.uniform(0.7, 1.3))  # noqa: S311 - not a secret
        except LinkSilent:
            return ""

    async def _serve(self, stream: Stream, wish: str) -> None:
        try:
            await self._service.serve(stream, wish)
        except ConciliumError as error:
            self._note(error)
            log.info("nodes.stream", detail=error.detail)
        finally:
            stream.abort()

    def _note(self, error: ConciliumError) -> None:
        """End the link when home turned an invitation down; one who has enrolled tries on, slowly."""
        if isinstance(error, PeerRefused) and not self._membership.enrolled and not self._refused.done():
            self._refused.set_exception(error)


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures, with jitter so that nodes do not come back all at once."""
    longest = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** min(failures - 1, 10))
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
