"""Server-sent events (WHATWG HTML, section 9.2.6) from bytes as they arrive."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from concilium.contracts.errors import TooLarge


@dataclass
class EventSplitter:
    """Splits a byte stream into the ``data`` of its events; at most ``limit`` bytes in all."""

    limit: int
    _seen: int = 0
    _line: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of every event this chunk completes. Raises `TooLarge`."""
        self._seen += len(chunk)
        if self._seen > self.limit:
            raise TooLarge(f"the agent's answer has more than {self.limit} bytes")
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._line += line
            yield from self._end_line(bytes(self._line.removesuffix(b"\r")))
            self._line.clear()
        self._line += rest

    def _end_line(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            yield b"\n".join(self._data)
            self._data.clear()
