"""Tables on PDF pages, by their rules. pdfplumber is slow: it looks where there may be one, and not for long."""

import io
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pdfplumber

from concilium.workers.document import limits
from concilium.workers.document.formats.tables import Rows, table
from concilium.workers.document.found import Table
from concilium.workers.document.source import Source


class _TooLong(BaseException):
    """A page took too long. No `Exception`: the parser catches those."""


class TableFinder:
    """Finds the tables of a document's pages. The parser is started when first needed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._document: Any = None
        self._left_s = limits.DOCUMENT_TABLES_S
        self.broken = ""
        """Why no more tables are looked for; '' while they are."""

    def find(self, number: int) -> tuple[list[Table], str]:
        """Return the tables of a page and a note when they could not be looked for."""
        if self.broken:
            return [], ""
        if self._left_s <= 0:
            self.broken = f"tables were looked for on the pages before {number} only: it took too long"
            return [], ""
        began = time.process_time()
        try:
            with _at_most(limits.PAGE_TABLES_S):
                return list(self._tables(number)), ""
        except _TooLong:
            return [], "looking for its tables took too long"
        except Exception as error:  # noqa: BLE001 - pdfminer raises whatever a damaged object leads to
            return [], f"its tables could not be looked for ({type(error).__name__})"
        finally:
            self._left_s -= time.process_time() - began

    def close(self) -> None:
        """Let go of the parser's document."""
        if self._document is not None:
            self._document.close()

    def _tables(self, number: int) -> Iterator[Table]:
        if self._document is None:
            wanted = self._source.wanted
            self._document = pdfplumber.open(io.BytesIO(self._source.data), password=wanted.password or "")
        page = self._document.pages[number - 1]
        try:
            for found in page.find_tables():
                rows = Rows()
                for row in found.extract():
                    rows.add([cell or "" for cell in row])
                left, top, right, bottom = (round(float(edge), 1) for edge in found.bbox)
                box = (left, top, round(right - left, 1), round(bottom - top, 1))
                made = table(rows.kept, page=number, box=box)
                if made and len(made.rows) > 1 and len(made.rows[0]) > 1:
                    yield made
        finally:
            page.close()


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise `_TooLong` in the block after so much processor time, and again should it be swallowed."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
