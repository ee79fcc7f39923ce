"""The text, tables and notes of an HTML document; nothing it refers to is fetched, nothing in it is run."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from concilium.workers.document import limits
from concilium.workers.document.formats.tables import Rows
from concilium.workers.document.found import Table, Unreadable
from concilium.workers.document.text import tidy

_SILENT = frozenset(
    {
        "script",
        "style",
        "noscript",
        "template",
        "head",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
        "select",
        "datalist",
    }
)
_BLOCK_NAMES = (
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer form h1 h2 h3"
    " h4 h5 h6 header hr li main nav ol p pre section summary table tbody tfoot thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_PARAGRAPHS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre"})
_CELLS = frozenset({"td", "th"})
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])|mso-hide\s*:\s*all",
    re.IGNORECASE,
)
_REMOTE = re.compile(r"\s*(?:https?:|ftp:|file:|//|\\\\)", re.IGNORECASE)
_SOURCES = (
    ("img", "src"),
    ("script", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("object", "data"),
    ("embed", "src"),
)
_BLANKS = re.compile(r"[ \t\r\n\f]+")
_META = frozenset({"author", "description", "keywords", "generator", "date", "og:title", "og:site_name"})
_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")


@dataclass
class Markup:
    """What an HTML document says."""

    text: str
    title: str | None
    metadata: dict[str, str]
    tables: list[Table]
    notes: list[str]


@dataclass
class _Writer:
    """Collects text as a browser shows it."""

    pieces: list[str] = field(default_factory=list)
    hidden: int = 0
    """Characters of hidden text."""
    pre: int = 0
    _newlines: int = 2
    """How many newlines the text ends with."""
    _blank: bool = True
    """The text ends in a blank."""

    def say(self, text: str | None) -> None:
        """Add inline text."""
        if not text:
            return
        shown = text if self.pre else _BLANKS.sub(" ", text)
        if self._blank and not self.pre:
            shown = shown.removeprefix(" ")
        if shown:
            self.pieces.append(shown)
            self._blank = shown.endswith(" ")
            self._newlines = len(shown) - len(shown.rstrip("\n"))

    def break_line(self) -> None:
        """Add a newline."""
        self.pieces.append("\n")
        self._newlines, self._blank = self._newlines + 1, True

    def end_line(self, newlines: int) -> None:
        """Let the text end with at least so many newlines."""
        if self._newlines < newlines:
            self.pieces.append("\n" * (newlines - self._newlines))
            self._newlines, self._blank = newlines, True

    def mark(self, text: str) -> None:
        """Add a tab or a list mark."""
        self.pieces.append(text)
        self._newlines, self._blank = 0, True


def read_markup(text: str, page: int | None = 1) -> Markup:
    """Return what an HTML document says.

    Raises:
        Unreadable: ``document-empty``: there is no element in it.
    """
    parser = etree.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(_DECLARATION.sub("", text, count=1), parser)
    except etree.XMLSyntaxError:
        root = None
    if root is None:
        raise Unreadable("document-empty", "there is nothing in the HTML document")
    writer = _Writer()
    _walk(root, writer)
    tables = [found for element in root.iter("table") if (found := _table(element, page))]
    notes = list(_notes(root))
    if writer.hidden:
        notes.append(f"{writer.hidden} characters of hidden text were left out")
    title = root.findtext(".//title")
    words = "".join(writer.pieces)
    return Markup(tidy(words), title.strip() or None if title else None, _metadata(root), tables, notes)


def _walk(root: Any, writer: _Writer) -> None:
    walker = etree.iterwalk(root, events=("start", "end"))
    for event, element in walker:
        if not isinstance(element.tag, str):
            continue
        if event == "start":
            if element.tag in _SILENT or _hides(element):
                if element.tag not in _SILENT:
                    writer.hidden += len("".join(element.itertext()).strip())
                walker.skip_subtree()
            else:
                _open(element, writer)
        else:
            if element.tag not in _SILENT and not _hides(element):
                _close(element, writer)
            if element is not root:
                writer.say(element.tail)


def _open(element: Any, writer: _Writer) -> None:
    tag = element.tag
    if tag in _BLOCKS:
        writer.end_line(2 if tag in _PARAGRAPHS else 1)
    if tag == "br":
        writer.break_line()
    elif tag == "li":
        writer.mark("- ")
    elif tag == "img" and element.get("alt", "").strip():
        writer.say(f"[image: {element.get('alt').strip()}] ")
    elif tag == "input" and element.get("value") and element.get("type", "text").lower() in ("text", "email", "number"):
        writer.say(element.get("value"))
    writer.pre += tag == "pre"
    writer.say(element.text)


def _close(element: Any, writer: _Writer) -> None:
    tag = element.tag
    writer.pre -= tag == "pre"
    if tag in _CELLS:
        writer.mark("\t")
    elif tag in _BLOCKS:
        writer.end_line(2 if tag in _PARAGRAPHS else 1)


def _hides(element: Any) -> bool:
    return "hidden" in element.attrib or _HIDDEN.search(element.get("style", "")) is not None


def _table(element: Any, page: int | None) -> Table | None:
    """Return a table of data; None for one that lays out other tables or has one row or column."""
    if element.find(".//table") is not None:
        return None
    rows = Rows()
    waiting: dict[int, int] = {}
    for row in element.iter("tr"):
        rows.add(_cells(row, waiting))
        if rows.full:
            break
    caption = element.findtext("caption")
    table = rows.table(page=page, title=caption.strip() if caption else None)
    return table if table and len(table.rows) > 1 and len(table.rows[0]) > 1 else None


def _cells(row: Any, waiting: dict[int, int]) -> list[str]:
    """Return a row's cells; ``waiting`` holds how many more rows a column is covered from above."""
    cells: list[str] = []
    for cell in (child for child in row if child.tag in _CELLS):
        while waiting.get(len(cells), 0) > 0:
            _covered(cells, waiting)
        wide, high = _span(cell, "colspan"), _span(cell, "rowspan")
        for number in range(min(wide, limits.COLUMNS - len(cells))):
            if high > 1:
                waiting[len(cells)] = high - 1
            cells.append("" if number else " ".join("".join(_visible(cell)).split()))
    while waiting.get(len(cells), 0) > 0:
        _covered(cells, waiting)
    return cells


def _covered(cells: list[str], waiting: dict[int, int]) -> None:
    waiting[len(cells)] -= 1
    cells.append("")


def _visible(cell: Any) -> Iterator[str]:
    writer = _Writer()
    _walk(cell, writer)
    yield from writer.pieces


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "1").strip()
    return max(1, min(int(value), 1000)) if value.isascii() and value.isdigit() and len(value) < 9 else 1


def _metadata(root: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = (meta.get("name") or meta.get("property") or "").lower()
        if name in _META and meta.get("content"):
            found.setdefault(name, meta.get("content"))
    if root.get("lang"):
        found["language"] = root.get("lang")
    return found


def _notes(root: Any) -> Iterator[str]:
    remote = sum(1 for tag, name in _SOURCES for e in root.iter(tag) if _REMOTE.match(e.get(name, "")))
    if remote:
        yield f"the document refers to {remote} images, scripts or styles elsewhere; nothing was fetched"
    if next(root.iter("script"), None) is not None:
        yield "the document holds scripts; they were not run, and text that they would write is missing"
    if any(_refreshes(meta) for meta in root.iter("meta")):
        yield "the document asks to go to another address; this was not followed"


def _refreshes(meta: Any) -> bool:
    attributes: Mapping[str, str] = meta.attrib
    return attributes.get("http-equiv", "").lower() == "refresh" and "url" in attributes.get("content", "").lower()
