"""CSV and TSV: the separator is found out, every cell stays text."""

import csv
import io
import re
from collections.abc import Iterator

from concilium.workers.document import limits
from concilium.workers.document.formats.charset import decode
from concilium.workers.document.formats.plain import begin, too_long
from concilium.workers.document.formats.sniff import Kind, label
from concilium.workers.document.formats.tables import Rows, as_text
from concilium.workers.document.found import End, Found, Page, damaged
from concilium.workers.document.page_numbers import selected
from concilium.workers.document.source import Source

SAMPLE_CHARS = 50_000
SAMPLE_ROWS = 50
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_FORMULA = re.compile(r"[=@]|[+-](?![\d\s.,]*%?\s*$)")
_SEP_LINE = re.compile(r"sep=(.)\r?\n")


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield the table as one page."""
    decoded = decode(source.data)
    selected(source.wanted.pages, 1)
    text = decoded.text
    kind = label(source.wanted) or Kind.CSV
    stated = _SEP_LINE.match(text)
    separator = stated[1] if stated else find_separator(text[:SAMPLE_CHARS], kind)
    yield begin(kind, decoded, metadata={"separator": _NAMES.get(separator, separator)}), b""
    rows, formulas = _rows(text[stated.end() :] if stated else text, separator)
    notes = too_long(len(text)) if rows.full else []
    if formulas:
        notes.append(f"{formulas} cells begin like formulas; they are text here, be careful opening them in Excel")
    if rows.full:
        notes.append(f"the table is longer than what is read: {rows.left_out} rows were left out")
    table = rows.table(page=1)
    yield Page(number=1, text=as_text(rows.kept), tables=[table] if table else [], notes=notes), b""
    yield End(), b""


def find_separator(sample: str, kind: Kind = Kind.CSV) -> str:
    """Return the separator that gives the most rows the same number of columns, more than one."""
    order = "\t,;|" if kind is Kind.TSV else ",;\t|"
    scores = {separator: _score(sample, separator) for separator in order}
    best = max(order, key=lambda separator: scores[separator])
    return best if scores[best] > 0 else order[0]


def _score(sample: str, separator: str) -> float:
    lines = sample.splitlines(keepends=True)
    if len(sample) >= SAMPLE_CHARS and len(lines) > 1:
        lines.pop()  # the sample ends within it
    widths: list[int] = []
    try:
        for row in csv.reader(lines, delimiter=separator):
            if row:
                widths.append(len(row))
            if len(widths) >= SAMPLE_ROWS:
                break
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    usual = max(set(widths), key=widths.count)
    if usual < 2:
        return 0.0
    # A number's comma also makes equal rows now and then: agreement first, then the number of columns.
    return round(widths.count(usual) / len(widths), 1) + min(usual, 50) / 1000


def _rows(text: str, separator: str) -> tuple[Rows, int]:
    csv.field_size_limit(limits.PAGE_CHARS)
    rows, formulas = Rows(), 0
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            rows.add(row)
            if not rows.full:
                formulas += sum(1 for cell in row if _FORMULA.match(cell))
    except csv.Error as error:
        raise damaged(f"line {len(rows.kept) + 1} is no row of a table: {error}") from error
    return rows, formulas
