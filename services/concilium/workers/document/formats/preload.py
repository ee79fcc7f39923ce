"""Loads what parsers would load only when they need it: a cell can open no file, so no module either."""

import email.feedparser
import importlib
import io

import openpyxl
import pdfplumber
import pypdfium2
from PIL import Image

from concilium.workers.document.formats.charset import preload_codecs

_LATE = (
    "cryptography.hazmat.backends",
    "cryptography.hazmat.backends.openssl.backend",
    "email.parser",
    "msoffcrypto.format.ooxml",
    "msoffcrypto.method.ecma376_agile",
    "msoffcrypto.method.ecma376_standard",
    "openpyxl.worksheet._read_only",
    "xml.dom.expatbuilder",
    "xml.dom.minidom",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
)


def preload() -> None:
    """Load codecs and modules, and read a small document with those parsers that load parts of themselves late."""
    preload_codecs()
    for name in _LATE:
        importlib.import_module(name)
    Image.preinit()
    _rehearse_pdf()
    _rehearse_workbook()
    email.message_from_bytes(b"Subject: =?utf-8?B?YQ==?=\n\n")


def _rehearse_pdf() -> None:
    document = pypdfium2.PdfDocument.new()
    page = document.new_page(50, 50)
    image = page.render(grayscale=True).to_pil()
    for kind in ("PNG", "JPEG"):
        image.save(io.BytesIO(), kind)
    out = io.BytesIO()
    document.save(out)
    document.close()
    with pdfplumber.open(out) as read:
        read.pages[0].find_tables()


def _rehearse_workbook() -> None:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["text", 1, 1.5])
    book.save(out)
    again = openpyxl.load_workbook(out, read_only=True)
    for row in again.active.iter_rows():
        _ = [cell.number_format for cell in row]
    again.close()
