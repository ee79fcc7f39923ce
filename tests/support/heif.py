"""HEIC files turned as phones turn them: by the container's own ``irot`` property (ISO/IEC 23008-12, 6.5.10)."""

import struct
from collections.abc import Iterator

_IROT_BYTES = 9


def rotated(data: bytes, quarter_turns: int) -> bytes:
    """Return a HEIC of one picture that is to be shown turned anticlockwise by so many quarters."""
    meta = next(box for box in _boxes(data, 0, len(data)) if box[0] == b"meta")
    children = {kind: (start, end) for kind, start, end in _boxes(data, meta[1] + 12, meta[2])}
    inside = {kind: (start, end) for kind, start, end in _boxes(data, children[b"iprp"][0] + 8, children[b"iprp"][1])}
    ipco, ipma = inside[b"ipco"], inside[b"ipma"]
    number = sum(1 for _ in _boxes(data, ipco[0] + 8, ipco[1])) + 1
    irot = struct.pack(">I4sB", _IROT_BYTES, b"irot", quarter_turns)
    added = _IROT_BYTES + 1
    out = bytearray(data)
    _move_extents(out, children[b"iloc"][0], added)
    for start, more in ((ipma[0], 1), (ipco[0], _IROT_BYTES), (children[b"iprp"][0], added), (meta[1], added)):
        struct.pack_into(">I", out, start, struct.unpack_from(">I", out, start)[0] + more)
    count_at = ipma[0] + 8 + 4 + 4 + 2  # header, version and flags, entries, the item's number
    out[count_at] += 1
    out[ipma[1] : ipma[1]] = bytes([0x80 | number])
    out[ipco[1] : ipco[1]] = irot
    return bytes(out)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, start, start + size
        start += size


def _move_extents(out: bytearray, iloc: int, by: int) -> None:
    """Add to every offset of an ``iloc`` box of version 0 or 1 with offsets of four bytes."""
    version, sizes, base, items = out[iloc + 8], out[iloc + 12], out[iloc + 13] >> 4, iloc + 14
    assert (version < 2, sizes >> 4) == (True, 4), "an unforeseen kind of iloc"
    (count,) = struct.unpack_from(">H", out, items)
    at = items + 2
    for _ in range(count):
        at += 2 + (2 if version == 1 else 0) + 2 + base
        (extents,) = struct.unpack_from(">H", out, at)
        at += 2
        for _ in range(extents):
            struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + by)
            at += 4 + (sizes & 15)
