"""Mail headers as a person reads them, however they were written."""

import contextlib
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

from concilium.workers.document.formats.charset import decode
from concilium.workers.document.text import one_line

RAW_CHARS = 8_192
"""A longer header is cut: finding words in it takes time that grows with the square of its length."""

Part = Message  # of str headers and str payloads: the class takes parameters in type stubs only
_FAULTS = (LookupError, ValueError, TypeError, AttributeError)
"""What the standard library raises on headers no mail program writes."""


def header(message: Part, name: str) -> str:
    """Return a header's value, '' when there is none; bytes beyond ASCII and encoded words are decoded."""
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            return readable(value)
    return ""


def readable(value: str) -> str:
    """Return a raw header value as text on one line."""
    raw = value[:RAW_CHARS].encode("ascii", "surrogateescape") if not _wide(value) else value[:RAW_CHARS].encode()
    text = raw.decode("ascii") if raw.isascii() else decode(raw).text
    try:
        pieces = decode_header(text)
    except (HeaderParseError, *_FAULTS):
        return one_line(text, RAW_CHARS)
    return one_line("".join(_piece(content, charset) for content, charset in pieces), RAW_CHARS)


def filename(part: Part) -> str:
    """Return the name of an attached file without any folders, '' when it has none."""
    name = ""
    with contextlib.suppress(*_FAULTS):
        name = part.get_filename() or ""
    return readable(name).replace("\\", "/").rpartition("/")[2][:255] if name else ""


def parameter(part: Part, name: str) -> str:
    """Return a parameter of the content type, '' when there is none."""
    with contextlib.suppress(*_FAULTS):
        value = part.get_param(name)
        if isinstance(value, tuple):
            return str(value[2])
        return str(value or "")
    return ""


def _wide(value: str) -> bool:
    return any("\x80" <= c < "\udc80" or c > "\udcff" for c in value[:RAW_CHARS])


def _piece(content: bytes | str, charset: str | None) -> str:
    if isinstance(content, str):
        return content
    if charset is None:
        return content.decode("raw-unicode-escape", errors="replace")
    return decode(content, [charset]).text
