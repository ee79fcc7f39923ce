"""Plain text and Markdown."""

from collections.abc import Iterator

from concilium.workers.document import limits
from concilium.workers.document.formats.charset import Decoded, decode
from concilium.workers.document.formats.sniff import Kind, label
from concilium.workers.document.found import Begin, End, Found, Page
from concilium.workers.document.page_numbers import selected
from concilium.workers.document.source import Source
from concilium.workers.document.text import clean


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield a text as one page."""
    decoded = decode(source.data)
    kind = Kind.MARKDOWN if label(source.wanted) is Kind.MARKDOWN else Kind.TEXT
    selected(source.wanted.pages, 1)
    title = _title(decoded.text) if kind is Kind.MARKDOWN else None
    yield begin(kind, decoded, title=title), b""
    text = clean(decoded.text)
    yield Page(number=1, text=text[: limits.PAGE_CHARS], notes=too_long(len(text))), b""
    yield End(), b""


def begin(kind: Kind, decoded: Decoded, *, title: str | None = None, metadata: dict[str, str] | None = None) -> Begin:
    """Return the first message of a format without pages."""
    values = {"charset": decoded.charset, **(metadata or {})}
    notes = [decoded.note] if decoded.note else []
    return Begin(kind=kind.value, page_count=1, selected=1, title=title, metadata=values, notes=notes)


def too_long(characters: int) -> list[str]:
    """Return the note of a text that is longer than what is read of one page."""
    if characters <= limits.PAGE_CHARS:
        return []
    return [f"the text has {characters} characters; the first {limits.PAGE_CHARS} were read"]


def _title(text: str) -> str | None:
    heading = next((line for line in text[:10_000].splitlines() if line.startswith("# ")), "")
    return heading.removeprefix("# ").strip() or None
