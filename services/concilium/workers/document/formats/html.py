"""HTML files."""

import re
from collections.abc import Iterator

from concilium.workers.document import limits
from concilium.workers.document.formats.charset import decode
from concilium.workers.document.formats.markup import read_markup
from concilium.workers.document.formats.plain import begin
from concilium.workers.document.formats.sniff import HEAD, Kind
from concilium.workers.document.found import End, Found, Page, Unreadable
from concilium.workers.document.page_numbers import selected
from concilium.workers.document.source import Source

_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield an HTML document as one page."""
    size = len(source.data)
    if size > limits.HTML_BYTES:
        raise Unreadable("document-too-large", f"the HTML has {size} bytes; at most {limits.HTML_BYTES} are read")
    selected(source.wanted.pages, 1)
    decoded = decode(source.data, declared_charsets(source.data))
    markup = read_markup(decoded.text)
    first = begin(Kind.HTML, decoded, title=markup.title, metadata=markup.metadata)
    yield first.model_copy(update={"notes": [*first.notes, *markup.notes]}), b""
    yield Page(number=1, text=markup.text[: limits.PAGE_CHARS], tables=markup.tables), b""
    yield End(), b""


def declared_charsets(data: bytes) -> list[str]:
    """Return the encodings that HTML or XML says it is written in."""
    return [name.decode("ascii") for name in _CHARSET.findall(data[:HEAD])]
