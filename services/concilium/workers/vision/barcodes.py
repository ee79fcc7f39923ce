"""Barcodes and QR codes. What one says is data from a stranger: it is returned as it is, never followed or opened."""

from itertools import islice

import zxingcpp
from PIL import Image

from concilium.contracts.base import JSON

CODES_MAX = 64
_KEPT = frozenset("\t\n\r\x1d")
"""Controls that mean something in a payload; 0x1d parts the fields of a GS1 code."""


def read(image: Image.Image) -> tuple[list[JSON], list[str]]:
    """Return the codes of an upright image, from its top, and notes.

    Each has ``type``, ``text``, ``box`` (x, y, width, height in pixels) and, where the text cannot carry all the bytes,
    ``hex``.
    """
    found = zxingcpp.read_barcodes(image.convert("L"), text_mode=zxingcpp.TextMode.Plain)
    codes = sorted((_entry(code, image) for code in found), key=lambda entry: (entry["box"][1], entry["box"][0]))
    notes = [f"{len(codes)} barcodes; the first {CODES_MAX} are told"] if len(codes) > CODES_MAX else []
    return list(islice(codes, CODES_MAX)), notes


def _entry(code: zxingcpp.Barcode, image: Image.Image) -> dict[str, JSON]:
    payload = _text(code)
    shown = "".join(c if c.isprintable() or c in _KEPT else "\ufffd" for c in payload)
    entry = {"type": str(code.format), "text": shown, "box": _box(code.position, image)}
    lossless = code.content_type != zxingcpp.ContentType.Binary and shown == payload
    return entry if lossless else {**entry, "hex": code.bytes.hex()}


def _text(code: zxingcpp.Barcode) -> str:
    """Return the payload as text; what the reader calls binary only if it is UTF-8 nevertheless, else nothing."""
    if code.content_type != zxingcpp.ContentType.Binary:
        return code.text
    try:
        return code.bytes.decode()
    except UnicodeDecodeError:
        return ""


def _box(position: zxingcpp.Position, image: Image.Image) -> list[int]:
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    xs = [min(max(corner.x, 0), image.width - 1) for corner in corners]
    ys = [min(max(corner.y, 0), image.height - 1) for corner in corners]
    return [min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1]
