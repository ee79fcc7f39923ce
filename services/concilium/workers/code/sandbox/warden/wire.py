"""What passes between the agent and the warden: a job in, a report out.

Both are one frame: four bytes with the header's length (big endian), the header as JSON, then the files' bytes in the
header's order. The job's pipe stays open while the run lives; its end of file means: stop.
"""

import json
import os
import struct
from typing import Any

LENGTH = struct.Struct(">I")
FRAME = struct.Struct(">BI")
"""Where everything the warden sends shares one stream: what follows (the numbers below) and how many bytes of it."""
REPORT, STDOUT, STDERR = 0, 1, 2
CHUNK = 1 << 16
Header = dict[str, Any]


def encode(header: Header, contents: list[bytes]) -> bytes:
    """Return the frame of a header and its files' bytes."""
    text = json.dumps(header).encode()
    return b"".join((LENGTH.pack(len(text)), text, *contents))


def read_exactly(descriptor: int, size: int) -> bytes:
    """Read ``size`` bytes. Raises `EOFError` when the other side ended before."""
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise EOFError("the agent ended")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_header(descriptor: int) -> Header:
    """Read the header of a frame."""
    (size,) = LENGTH.unpack(read_exactly(descriptor, LENGTH.size))
    header: Header = json.loads(read_exactly(descriptor, size))
    return header


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
