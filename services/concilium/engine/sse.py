"""Server-sent events as a model server sends them (WHATWG HTML, section 9.2): their data, one after another."""

from concilium.contracts.limits import MIB
from concilium.engine.errors import EngineError

EVENT_BYTES = MIB
"""Largest event accepted."""


class Events:
    """Takes bytes as they come and returns the data of each event that became complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that this chunk completes.

        Raises:
            EngineError: ``garbage``: an event, or a line without an end, is larger than `EVENT_BYTES`.
        """
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        found = []
        for line in lines:
            bare = line.removesuffix(b"\r")
            if bare:
                self._field(bare)
            elif self._data:
                found.append(b"\n".join(self._data))
                self._data, self._size = [], 0
        if len(self._rest) > EVENT_BYTES:
            raise EngineError("garbage", f"an event of the stream is larger than {EVENT_BYTES} bytes")
        return found

    def _field(self, line: bytes) -> None:
        """Keep the data of a line; comments, which only keep the connection alive, and other fields say nothing."""
        if not line.startswith(b"data:"):
            return
        value = line[5:].removeprefix(b" ")
        self._size += len(value)
        if self._size > EVENT_BYTES:
            raise EngineError("garbage", f"an event of the stream is larger than {EVENT_BYTES} bytes")
        self._data.append(value)
