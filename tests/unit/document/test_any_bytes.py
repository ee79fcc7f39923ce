"""Whatever bytes come: an answer or a clear failure, never a fault of ours, and soon."""

import asyncio
import base64
import io
import zipfile
from contextlib import aclosing
from pathlib import Path

import docx
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concilium.workers.document.cell import read_document
from concilium.workers.document.found import Begin, Unreadable, Usage
from concilium.workers.document.source import Source, Wanted
from support.documents import Pdf, PdfPage, changed, grid, scan_page, text_at, text_page

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
NAMES = ("a.pdf", "a.docx", "a.xlsx", "a.csv", "a.tsv", "a.html", "a.eml", "a.xml", "a.md", "a.txt", "a")
PROBLEMS = {
    "document-damaged",
    "document-empty",
    "document-hostile",
    "document-too-large",
    "password-required",
    "wrong-password",
    "unsupported-format",
    "zip-bomb",
}
pytestmark = pytest.mark.timeout(600)  # a process for each document, on a machine that may be busy
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def read(data: bytes, name: str) -> None:
    """Read a document to its end; a fault of the reader's own and a time-out raise."""

    async def run() -> None:
        kinds = []
        try:
            async with aclosing(read_document(Source(data, Wanted(name=name, cpu_s=20)))) as messages:
                async for said, _ in messages:
                    kinds.append(type(said))
        except Unreadable as error:
            assert error.type in PROBLEMS, error  # noqa: PT017 - an answer is as good
            return
        assert kinds[0] is Begin
        assert kinds[-1] is Usage

    asyncio.run(run())


def a_pdf() -> bytes:
    pdf = Pdf(info=b"/Title (A title)")
    rows = [["Item", "Price"], ["Bolt", "1.20"]]
    pdf.pages = [PdfPage(text_at(72, 780, "An order") + grid(72, 740, [120, 80], rows)), scan_page(pdf, ["Scanned"])]
    pdf.pages.append(text_page(["More words on a page"]))
    return pdf.bytes()


def a_word() -> bytes:
    document = docx.Document()
    document.add_paragraph("Words")
    document.add_table(rows=2, cols=2).cell(0, 0).text = "cell"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def a_book() -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["text", 1.5, True, "=A1"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


MAIL = (
    b"From: a@example.org\nTo: b@example.org\nSubject: =?utf-8?B?0J7RgtGH0ZHRgg==?=\nMIME-Version: 1.0\n"
    b'Content-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/plain; charset=koi8-r\n\n\xf0\xd2\xc9\n'
    b"--x\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(b"<p>words</p>") + b"\n"
    b"--x\nContent-Disposition: attachment; filename*=utf-8''a%20b.csv\nContent-Type: text/csv\n\na,b\n--x--\n"
)
PAGE = b"<html><head><meta charset=cp1251></head><body><table><tr><td colspan=2>a<td>b</table><p hidden>x<ul><li>y"
WHOLE = {
    "a.pdf": a_pdf(),
    "a.docx": a_word(),
    "a.xlsx": a_book(),
    "a.eml": MAIL,
    "a.html": PAGE,
    "a.csv": 'a;"b\n";=c\n1;2;3\n'.encode("utf-16"),
    "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><text>t</text><image href="http://192.0.2.1"/></svg>',
}


@QUICK
@given(data=st.binary(max_size=2000), name=st.sampled_from(NAMES))
def test_any_bytes_are_answered(data: bytes, name: str) -> None:
    read(data, name)


@QUICK
@given(text=st.text(max_size=500), name=st.sampled_from(NAMES), charset=st.sampled_from(["utf-8", "utf-16", "cp1251"]))
def test_any_text_is_answered(text: str, name: str, charset: str) -> None:
    read(text.encode(charset, errors="replace"), name)


@settings(QUICK, max_examples=150)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    places=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=0, max_size=8), st.integers(0, 8)), max_size=12),
    end=st.one_of(st.none(), st.floats(0, 1)),
)
def test_changed_and_broken_off_documents_are_answered(
    name: str, places: list[tuple[float, bytes, int]], end: float | None
) -> None:
    data = bytearray(WHOLE[name])
    for place, put, taken in places:
        start = int(place * len(data))
        data[start : start + taken] = put
    read(bytes(data if end is None else data[: int(end * len(data))]), name)


@QUICK
@given(
    name=st.sampled_from(["a.docx", "a.xlsx"]),
    part=st.integers(0, 99),
    places=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=8),
)
def test_zipped_documents_with_a_changed_part_are_answered(
    name: str, part: int, places: list[tuple[float, bytes]]
) -> None:
    with zipfile.ZipFile(io.BytesIO(WHOLE[name])) as archive:
        names = archive.namelist()
        chosen = names[part % len(names)]
        content = bytearray(archive.read(chosen))
    for place, put in places:
        start = int(place * len(content))
        content[start : start + len(put)] = put
    read(changed(WHOLE[name], {chosen: bytes(content)}), name)


def test_the_whole_documents_are_read() -> None:
    for name, data in WHOLE.items():
        read(data, name)
    read((EXAMPLES / "minutes.pdf").read_bytes(), "minutes.pdf")
