"""Server-sent events, as WHATWG HTML section 9.2.6 tells a client to read them."""

from collections.abc import Iterable, Iterator


def read_events(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each event in a stream of bytes; an event cut off by the end of the stream is dropped."""
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data:
                yield "\n".join(data)
            data = []
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Split at line feeds alone: str.splitlines would also cut JSON at U+2028 and the like."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", errors="replace")
