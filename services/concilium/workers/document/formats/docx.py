"""Word documents: text in its order, tables, footnotes and comments; pages as Word last laid them out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from concilium.workers.document import limits
from concilium.workers.document.formats.office import Package
from concilium.workers.document.formats.properties import properties
from concilium.workers.document.formats.sniff import Kind
from concilium.workers.document.formats.tables import Rows, as_text
from concilium.workers.document.formats.word import PAGE_BREAK, Words, w
from concilium.workers.document.found import Begin, End, Found, Page, Table, damaged
from concilium.workers.document.page_numbers import chosen
from concilium.workers.document.source import Source
from concilium.workers.document.text import tidy

MAIN = "word/document.xml"
_RELATIONS = "word/_rels/document.xml.rels"
_LINK = "/hyperlink"


@dataclass
class _Sheet:
    """A page while it is filled."""

    lines: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    """Footnotes and comments that its text refers to."""


def read(source: Source, package: Package) -> Iterator[tuple[Found, bytes]]:
    """Yield the pages of a Word document."""
    tree = package.tree(MAIN)
    body = None if tree is None else tree.find(w("body"))
    if body is None:
        raise damaged("the Word document has no body")
    words = Words.of(package, tree)
    pages = _Pages(words)
    pages.blocks(body)
    numbers, left = chosen(source.wanted.pages, len(pages.sheets))
    title, metadata = properties(package)
    metadata |= _running(package, words)
    notes = [*left, *package.notes, *_notes(package, words, len(pages.sheets))]
    yield (
        Begin(
            kind=Kind.DOCX,
            page_count=len(pages.sheets),
            selected=len(numbers),
            title=title,
            metadata=metadata,
            notes=notes,
        ),
        b"",
    )
    for number in numbers:
        sheet = pages.sheets[number - 1]
        text = tidy("\n".join([*sheet.lines, "", *sheet.marks]))
        yield Page(number=number, text=text[: limits.PAGE_CHARS], tables=sheet.tables), b""
    yield End(), b""


class _Pages:
    """Fills pages with blocks."""

    def __init__(self, words: Words) -> None:
        self.sheets = [_Sheet()]
        self._words = words

    def blocks(self, parent: Any) -> None:
        """Add the paragraphs and tables under an element, in order."""
        for block in parent:
            if block.tag == w("p"):
                self._line(self._words.paragraph(block))
            elif block.tag == w("tbl"):
                self._table(block)
            elif block.tag in (w("sdt"), w("sdtContent"), w("customXml"), w("ins"), w("moveTo")):
                self.blocks(block)

    def _line(self, text: str) -> None:
        """Add a line; what comes after a page break goes to the next page."""
        for number, piece in enumerate(text.split(PAGE_BREAK)):
            if number:
                self.sheets.append(_Sheet())
            self.sheets[-1].lines.append(piece)
        self.sheets[-1].marks.extend(self._words.take_marks())

    def _table(self, element: Any) -> None:
        rows = Rows()
        start = len(self.sheets)
        sheet = self.sheets[-1]
        for row in self._words.rows(element):
            breaks = max((cell.count(PAGE_BREAK) for cell in row), default=0)
            cells = [cell.replace(PAGE_BREAK, "") for cell in row]
            rows.add(cells)
            self.sheets.extend(_Sheet() for _ in range(breaks))
            self._line(as_text([cells]))
        if table := rows.table(page=start):
            sheet.tables.append(table)


def _running(package: Package, words: Words) -> dict[str, str]:
    """Return the texts at the head and foot of pages."""
    found: dict[str, str] = {}
    for name in ("header", "footer"):
        parts = sorted(part for part in package.entries if part.startswith(f"word/{name}") and part.endswith(".xml"))
        texts = (
            " ".join(words.paragraph(p) for p in tree.iter(w("p")))
            for part in parts[:12]
            if (tree := package.tree(part)) is not None
        )
        joined = " / ".join(dict.fromkeys(" ".join(t.replace(PAGE_BREAK, "").split()) for t in texts if t.strip()))
        if joined:
            found[name] = joined
    words.take_marks()
    return found


def _notes(package: Package, words: Words, pages: int) -> Iterator[str]:
    if pages > 1:
        yield (
            "page numbers are those of the program that last laid the document out"
            if words.laid_out
            else ("pages are counted by the breaks set by hand: the document was not laid out")
        )
    if words.hidden:
        yield f"{words.hidden} characters of hidden text were left out"
    if words.deleted:
        yield f"{words.deleted} tracked deletions were left out; tracked insertions are in the text"
    if words.pictures:
        yield f"the document holds {words.pictures} pictures; text in them was not read"
    if words.commands:
        yield "the document has fields that start programs or fetch files; they were not followed"
    relations = package.tree(_RELATIONS)
    outside = 0
    for relation in () if relation_free(relations) else relations:
        outside += relation.get("TargetMode") == "External" and not relation.get("Type", "").endswith(_LINK)
    if outside or _template(package):
        yield "the document refers to templates, pictures or objects elsewhere; nothing was fetched"


def relation_free(relations: Any) -> bool:
    """Whether a part has no relations to others."""
    return relations is None or len(relations) == 0


def _template(package: Package) -> bool:
    relations = package.tree("word/_rels/settings.xml.rels")
    return not relation_free(relations) and any(r.get("TargetMode") == "External" for r in relations)
