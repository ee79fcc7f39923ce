"""PDF: text in reading order, tables, images of pages that must be recognised. Pages are read one at a time."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal

import pypdfium2
from pypdfium2 import PdfiumError, raw

from concilium.workers.document import limits
from concilium.workers.document.formats import pdf_notes
from concilium.workers.document.formats.layout import page_text
from concilium.workers.document.formats.pdf_forms import written
from concilium.workers.document.formats.pdf_image import draw
from concilium.workers.document.formats.pdf_look import Look, Verdict, judge, look
from concilium.workers.document.formats.pdf_tables import TableFinder
from concilium.workers.document.formats.pdf_text import PageText
from concilium.workers.document.formats.sniff import Kind
from concilium.workers.document.found import Begin, End, Found, Page, Picture, Table, Unreadable, damaged
from concilium.workers.document.page_numbers import chosen
from concilium.workers.document.source import Source
from concilium.workers.document.text import tidy

_PAGES_BELIEVED = 1_000_000


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield a PDF's pages, each followed by its image when it has one."""
    with closing(_open(source)) as document:
        count = len(document)
        if count < 1:
            raise Unreadable("document-empty", "the PDF has no pages")
        if count > _PAGES_BELIEVED:
            raise damaged(f"the PDF claims to have {count} pages")
        numbers, left = chosen(source.wanted.pages, count)
        title, metadata = pdf_notes.information(document)
        notes = [*left, *pdf_notes.notes(document, source.data)]
        yield (
            Begin(
                kind=Kind.PDF,
                page_count=count,
                selected=len(numbers),
                title=title,
                metadata=metadata,
                notes=notes,
            ),
            b"",
        )
        with closing(_Reader(source, document)) as reader:
            for number in numbers:
                yield from reader.page(number)
            yield End(notes=reader.notes(), attachments=pdf_notes.attachments(document)), b""


def _open(source: Source) -> Any:
    password = source.wanted.password
    try:
        return pypdfium2.PdfDocument(source.data, password=password)
    except PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD:
            raise damaged("the PDF cannot be opened") from error
        if password:
            raise Unreadable("wrong-password", "the password does not open the PDF") from error
        raise Unreadable("password-required", "the PDF is encrypted; send its password in `password`") from error
    except (UnicodeError, ValueError) as error:
        raise Unreadable("wrong-password", "the password holds characters that no PDF password has") from error


class _Reader:
    """Reads pages, and counts the images it gave away."""

    def __init__(self, source: Source, document: Any) -> None:
        self._wanted = source.wanted
        self._document = document
        self._tables = TableFinder(source)
        self._pictures = 0
        self._picture_bytes = 0

    def notes(self) -> list[str]:
        """Return what there is to say after the last page."""
        return [self._tables.broken] if self._tables.broken else []

    def close(self) -> None:
        """Let go of what was opened."""
        self._tables.close()

    def page(self, number: int) -> Iterator[tuple[Found, bytes]]:
        """Yield a page and its image; a page that cannot be opened is said to be damaged."""
        try:
            page = self._document.get_page(number - 1)
        except PdfiumError:
            yield Page(number=number, text="", notes=[f"page {number} is damaged and could not be read"]), b""
            return
        with closing(page):
            found, verdict = self._read(page, number)
            yield found, b""
            yield from self._picture(page, found, verdict)

    def _read(self, page: Any, number: int) -> tuple[Page, Verdict]:
        seen = look(page)
        width, height = page.get_size()
        with closing(PageText(page)) as text:
            verdict = judge(text.string(), text.unmapped(), seen, width * height)
            words = page_text(text.lines()) if verdict.keep_text else ""
        entries = "\n".join(written(page))
        notes = [f"page {number}: {verdict.note}"] if verdict.note else []
        tables, note = self._find_tables(number, seen, verdict)
        if note:
            notes.append(f"page {number}: {note}")
        whole = tidy(f"{words}\n\n{entries}")[: limits.PAGE_CHARS]
        return Page(number=number, text=whole, tables=tables, scanned=verdict.scanned, notes=notes), verdict

    def _find_tables(self, number: int, seen: Look, verdict: Verdict) -> tuple[list[Table], str]:
        asked = self._wanted.tables
        if asked == "never" or not verdict.keep_text or (asked == "auto" and (verdict.scanned or not seen.ruled)):
            return [], ""
        return self._tables.find(number)

    def _picture(self, page: Any, found: Page, verdict: Verdict) -> Iterator[tuple[Found, bytes]]:
        """Yield the page's image when it needs recognition or was asked for, while there is room for more."""
        if not (verdict.scanned or self._wanted.page_images) or self._pictures >= limits.PICTURES:
            return
        drawn = draw(page, grey=not self._wanted.page_images)
        if drawn is None:
            return
        media_type, content = drawn
        if self._picture_bytes + len(content) > limits.PICTURE_BYTES:
            self._pictures = limits.PICTURES
            return
        self._pictures += 1
        self._picture_bytes += len(content)
        scanned: Literal[True, False] = verdict.scanned
        yield Picture(page=found.number, scanned=scanned, media_type=media_type), content
