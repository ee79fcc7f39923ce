"""Excel workbooks: each sheet is a page and a table, cells as they are shown; nothing is calculated."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import repeat
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from concilium.workers.document import limits
from concilium.workers.document.formats.numbers import shown
from concilium.workers.document.formats.office import Package
from concilium.workers.document.formats.properties import properties
from concilium.workers.document.formats.sniff import Kind
from concilium.workers.document.formats.tables import Rows, as_text
from concilium.workers.document.found import Begin, End, Found, Page, Unreadable, damaged
from concilium.workers.document.page_numbers import chosen
from concilium.workers.document.source import Source

BLANK_ROWS = 3
"""More empty rows than this in a row are left out."""
_HELD = ("xl/styles.xml", "xl/workbook.xml")
_STRINGS = "xl/sharedStrings.xml"
_FORMULA = re.compile(rb"<(?:x:)?f[\s>/]")
_NO_VALUE = re.compile(rb"</(?:x:)?f>\s*(?:<(?:x:)?v\s*/>|<(?:x:)?v>\s*</(?:x:)?v>)?\s*</(?:x:)?c>")


def read(source: Source, package: Package) -> Iterator[tuple[Found, bytes]]:
    """Yield the sheets of a workbook."""
    _check_held(package)
    sheets = [name for name in package.entries if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    formulas = any(package.search(name, _FORMULA) for name in sheets)
    unsaved = formulas and any(package.search(name, _NO_VALUE) for name in sheets)
    with ExitStack() as stack:
        book = stack.enter_context(closing(_open(source.data, values=True)))
        second = stack.enter_context(closing(_open(source.data, values=False))) if unsaved else None
        count = max(1, len(book.sheetnames))
        numbers, left = chosen(source.wanted.pages, count)
        title, metadata = properties(package)
        notes = [*left, *package.notes, *_notes(book, formulas=formulas, unsaved=unsaved)]
        metadata["sheets"] = ", ".join(book.sheetnames)
        first = Begin(
            kind=Kind.XLSX, page_count=count, selected=len(numbers), title=title, metadata=metadata, notes=notes
        )
        yield first, b""
        for number in numbers:
            yield _page(number, book, second), b""
    yield End(), b""


def _page(number: int, book: Any, second: Any) -> Page:
    name = book.sheetnames[number - 1]
    sheet = book[name]
    if not hasattr(sheet, "iter_rows"):
        return Page(number=number, text=name, notes=[f"sheet '{name}' is a chart; it has no cells"])
    formulas = second[name] if second is not None else None
    rows, blanks = _rows(sheet, formulas)
    notes = [f"sheet '{name}': {blanks} empty rows were left out"] if blanks else []
    if rows.full:
        notes.append(f"sheet '{name}' is longer than what is read: only its first {len(rows.kept)} rows are here")
    table = rows.table(page=number, title=name)
    text = as_text(table.rows) if table else ""
    return Page(number=number, text=f"{name}\n{text}".strip(), tables=[table] if table else [], notes=notes)


def _rows(sheet: Any, formulas: Any) -> tuple[Rows, int]:
    """Return a sheet's rows and how many empty ones were left out."""
    rows, blanks, left_out = Rows(), 0, 0
    # The size a sheet claims to have is somebody's word: rows end where their cells do.
    sheet.reset_dimensions()
    others: Iterator[Any] = repeat(())
    if formulas is not None:
        formulas.reset_dimensions()
        others = formulas.iter_rows()
    for row, other in zip(sheet.iter_rows(), others, strict=False):
        cells = _cells(row, other)
        if not any(cells):
            blanks += 1
            continue
        kept = min(blanks, BLANK_ROWS) if rows.kept else 0
        left_out += blanks - kept if rows.kept else 0
        for _ in range(kept):
            rows.add(())
        blanks = 0
        rows.add(cells)
        if rows.full:
            break
    return rows, left_out


def _cells(row: Any, formulas: Any) -> list[str]:
    cells = [_shown(cell) if cell.value is not None else "" for cell in row]
    for index, cell in enumerate(formulas):
        if cell.value is not None and index < len(cells) and not cells[index]:
            cells[index] = _formula(cell.value)
    return cells


def _shown(cell: Any) -> str:
    return shown(cell.value, cell.number_format)


def _formula(value: Any) -> str:
    """Return a formula that has no saved value; array formulas are objects."""
    return str(getattr(value, "text", value))


def _open(data: bytes, *, values: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=values, keep_links=False)
        except (InvalidFileException, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise damaged(f"the workbook cannot be opened ({type(error).__name__}: {error})") from error


def _check_held(package: Package) -> None:
    """Raise `Unreadable` when what is held whole while sheets are read is too large."""
    for name, most in (*((held, limits.ZIP_TREE_BYTES) for held in _HELD), (_STRINGS, limits.ZIP_STRINGS_BYTES)):
        entry = package.entries.get(name)
        if entry is not None and entry.file_size > most:
            detail = f"{name} unpacks to {entry.file_size} bytes; at most {most} of such are read"
            raise Unreadable("document-too-large", detail)


def _notes(book: Any, *, formulas: bool, unsaved: bool) -> Iterator[str]:
    if formulas:
        yield "formulas are shown by the values saved with them; nothing was calculated"
    if unsaved:
        yield "some formulas have no saved value and are shown as formulas"
    hidden = [sheet.title for sheet in book.worksheets if sheet.sheet_state != "visible"]
    if hidden:
        yield f"hidden sheets are in the text: {', '.join(hidden)}"
