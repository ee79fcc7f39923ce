"""Paragraphs and rows of WordprocessingML as they are shown (ECMA-376 part 1, section 17)."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from concilium.workers.document import limits
from concilium.workers.document.formats.office import Package

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_PICTURE = "{http://schemas.openxmlformats.org/drawingml/2006/main}blip"
PAGE_BREAK = "\f"
_COMMANDS = ("DDE", "DDEAUTO", "INCLUDETEXT", "INCLUDEPICTURE", "LINK", "IMPORT")


def w(name: str) -> str:
    """Return a name in WordprocessingML's namespace."""
    return f"{{{_W}}}{name}"


_LEFT_OUT = frozenset({w("del"), w("moveFrom"), _FALLBACK})
_PLAIN: Mapping[str, str] = {
    w("tab"): "\t",
    w("cr"): "\n",
    w("noBreakHyphen"): "-",
    w("ptab"): "\t",
}


class Words:
    """Reads paragraphs and rows, and remembers what it left out and what they refer to."""

    def __init__(self, marks: Mapping[tuple[str, str], str], *, laid_out: bool) -> None:
        self.laid_out = laid_out
        """The document holds the page breaks of its last layout."""
        self.hidden = 0
        self.deleted = 0
        self.pictures = 0
        self.commands = False
        self._marks = marks
        self._taken: list[str] = []

    @classmethod
    def of(cls, package: Package, tree: Any) -> Self:
        """Return the words of a document: its footnotes and comments are read, its layout is looked for."""
        marks = dict(_marks(package))
        return cls(marks, laid_out=next(tree.iter(w("lastRenderedPageBreak")), None) is not None)

    def take_marks(self) -> list[str]:
        """Return the footnotes and comments referred to since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def paragraph(self, element: Any) -> str:
        """Return a paragraph's text; `PAGE_BREAK` stands where a page ends."""
        pieces: list[str] = []
        self._collect(element, pieces)
        text = "".join(pieces)
        listed = element.find(f"{w('pPr')}/{w('numPr')}") is not None
        return f"- {text}" if listed and text.strip() else text

    def rows(self, table: Any) -> Iterator[list[str]]:
        """Yield a table's rows; a cell that goes on from above or from the left is ''."""
        for row in table.iterchildren(w("tr"), w("sdt"), w("ins")):
            for inner in (row,) if row.tag == w("tr") else row.iter(w("tr")):
                yield self._row(inner)

    def _row(self, row: Any) -> list[str]:
        cells: list[str] = []
        for cell in row.iterchildren(w("tc"), w("sdt")):
            for inner in (cell,) if cell.tag == w("tc") else cell.iter(w("tc")):
                span = inner.find(f"{w('tcPr')}/{w('gridSpan')}")
                merged = inner.find(f"{w('tcPr')}/{w('vMerge')}")
                goes_on = merged is not None and merged.get(w("val"), "continue") == "continue"
                cells.append("" if goes_on else self._cell(inner))
                cells.extend([""] * (_number(span) - 1))
        return cells

    def _cell(self, cell: Any) -> str:
        lines: list[str] = []
        for block in cell:
            if block.tag == w("p"):
                lines.append(self.paragraph(block))
            elif block.tag == w("tbl"):
                lines.extend(" | ".join(filter(None, row)) for row in self.rows(block))
            elif block.tag == w("sdt"):
                lines.extend(self.paragraph(p) for p in block.iter(w("p")))
        return "\n".join(lines).strip(" \n")

    def _collect(self, element: Any, pieces: list[str]) -> None:
        for child in element:
            tag = child.tag
            if tag in _LEFT_OUT:
                self.deleted += tag != _FALLBACK
            elif tag == w("r") and _vanishes(child):
                self.hidden += len("".join(t.text or "" for t in child.iter(w("t"))))
            elif tag in (w("t"), _MATH_TEXT):
                pieces.append((child.text or "").replace(PAGE_BREAK, ""))
            elif tag in _PLAIN:
                pieces.append(_PLAIN[tag])
            elif not self._special(child, pieces):
                self._collect(child, pieces)
                if tag == w("p"):  # within a text box
                    pieces.append("\n")

    def _special(self, child: Any, pieces: list[str]) -> bool:
        """Take an element that stands for something else; say whether it was one."""
        tag = child.tag
        if tag == w("br"):
            page = child.get(w("type")) == "page"
            pieces.append("\n" if not page else "" if self.laid_out else PAGE_BREAK)
        elif tag == w("lastRenderedPageBreak"):
            pieces.append(PAGE_BREAK)
        elif tag in (w("footnoteReference"), w("endnoteReference"), w("commentReference")):
            self._refer(tag, child.get(w("id"), ""), pieces)
        elif tag == w("instrText"):
            self.commands |= (child.text or "").strip().upper().partition(" ")[0] in _COMMANDS
        elif tag == _PICTURE:
            self.pictures += 1
        elif tag not in (w("pPr"), w("rPr")):
            return False
        return True

    def _refer(self, tag: str, number: str, pieces: list[str]) -> None:
        kind = tag.rpartition("}")[2].removesuffix("Reference")
        text = self._marks.get((kind, number))
        if text is None:
            return
        if kind != "comment":
            pieces.append(f"[{number}]")
        self._taken.append(f"[{kind} {number}] {text}")


def _marks(package: Package) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the texts of footnotes, endnotes and comments by kind and number."""
    plain = Words({}, laid_out=True)
    for kind in ("footnote", "endnote", "comment"):
        tree = package.tree(f"word/{kind}s.xml")
        for mark in () if tree is None else tree.iterchildren(w(kind)):
            text = " ".join(plain.paragraph(p) for p in mark.iter(w("p"))).replace(PAGE_BREAK, "").strip()
            author = mark.get(w("author"))
            if text:
                yield (kind, mark.get(w("id"), "")), f"{author}: {text}" if author else text


def _vanishes(run: Any) -> bool:
    vanish = run.find(f"{w('rPr')}/{w('vanish')}")
    return vanish is not None and vanish.get(w("val"), "1") not in ("0", "false", "off")


def _number(element: Any) -> int:
    value = "" if element is None else element.get(w("val"), "")
    return min(int(value), limits.COLUMNS) if value.isascii() and value.isdigit() and 0 < len(value) < 6 else 1
