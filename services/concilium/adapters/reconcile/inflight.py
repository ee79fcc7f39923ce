"""Requests under way, by replica and served name: an adapter is unloaded when those that began with it have ended."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Gone(Exception):
    """A replica gives up a served name; resolve again."""


class InFlight:
    """Counts; used from one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._closed: set[tuple[str, str]] = set()
        self._ended = asyncio.Event()

    @contextmanager
    def use(self, replica: str, served: str) -> Iterator[None]:
        """Count a request from before it is sent until its answer has ended. Raises `Gone` once it is closed."""
        key = replica, served
        if key in self._closed:
            raise Gone(f"{served} is being unloaded from {replica}")
        self._counts[key] += 1
        try:
            yield
        finally:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
                self._ended.set()

    def busy(self, replica: str) -> frozenset[str]:
        """Return the served names with requests under way on a replica."""
        return frozenset(served for name, served in self._counts if name == replica)

    async def drained(self, replica: str, served: str, limit_s: float) -> bool:
        """Let nothing new begin, and wait until what began has ended; False when it has not within the limit."""
        key = replica, served
        self._closed.add(key)
        try:
            async with asyncio.timeout(limit_s):
                while key in self._counts:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def opened(self, replica: str, served: str) -> None:
        """Let requests begin again."""
        self._closed.discard((replica, served))
