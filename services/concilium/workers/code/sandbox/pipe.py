"""The reading end of a pipe, awaited.

Not by `loop.connect_read_pipe`: uvloop closes the descriptor of a pipe twice, and the second time it may already belong
to somebody else.
"""

import asyncio
import os


class Pipe:
    """Owns a reading end; reads only when asked to, so that a flood waits in the pipe."""

    def __init__(self, end: int) -> None:
        os.set_blocking(end, False)
        self._end = end

    def close(self) -> None:
        """Close the end; nothing may be reading."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1

    async def read(self, most: int) -> bytes:
        """Return up to ``most`` bytes as soon as there are any; none at the end."""
        while True:
            try:
                return os.read(self._end, most)
            except BlockingIOError:
                await self._readable()

    async def readexactly(self, count: int) -> bytes:
        """Return so many bytes. Raises `asyncio.IncompleteReadError` when the end comes before."""
        found = bytearray()
        while len(found) < count:
            chunk = await self.read(count - len(found))
            if not chunk:
                raise asyncio.IncompleteReadError(bytes(found), count)
            found += chunk
        return bytes(found)

    async def _readable(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._end, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._end)
