"""Which kind of document a file is: by its bytes; its name decides only between kinds of text."""

import re
from collections.abc import Mapping
from enum import StrEnum

from concilium.workers.document.formats.charset import looks_binary
from concilium.workers.document.formats.compound import COMPOUND, compound_kind
from concilium.workers.document.found import Unreadable
from concilium.workers.document.source import Wanted


class Kind(StrEnum):
    """What is read, and two wrappers of it."""

    PDF = "pdf"
    DOCX = "docx"
    XLSX = "xlsx"
    CSV = "csv"
    TSV = "tsv"
    HTML = "html"
    XML = "xml"
    EMAIL = "email"
    MARKDOWN = "markdown"
    TEXT = "text"
    ZIP = "zip"
    ENCRYPTED_OFFICE = "encrypted"


HEAD = 4096
_SUFFIXES: Mapping[str, Kind] = {
    "pdf": Kind.PDF,
    "docx": Kind.DOCX,
    "docm": Kind.DOCX,
    "dotx": Kind.DOCX,
    "dotm": Kind.DOCX,
    "xlsx": Kind.XLSX,
    "xlsm": Kind.XLSX,
    "xltx": Kind.XLSX,
    "xltm": Kind.XLSX,
    "csv": Kind.CSV,
    "tsv": Kind.TSV,
    "tab": Kind.TSV,
    "html": Kind.HTML,
    "htm": Kind.HTML,
    "xhtml": Kind.HTML,
    "xml": Kind.XML,
    "svg": Kind.XML,
    "eml": Kind.EMAIL,
    "md": Kind.MARKDOWN,
    "markdown": Kind.MARKDOWN,
    "txt": Kind.TEXT,
    "log": Kind.TEXT,
}
_MEDIA: Mapping[str, Kind] = {
    "text/csv": Kind.CSV,
    "text/tab-separated-values": Kind.TSV,
    "text/html": Kind.HTML,
    "text/markdown": Kind.MARKDOWN,
    "message/rfc822": Kind.EMAIL,
}
_PICTURE = "an image; vision.ocr reads the text in images"
_ARCHIVE = "an archive; send the documents in it one by one"
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF8", _PICTURE),
    (b"II*\0", _PICTURE),
    (b"MM\0*", _PICTURE),
    (b"BM", _PICTURE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
    (b"7z\xbc\xaf", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ", _ARCHIVE),
    (b"{\\rtf", "a rich text (RTF) file; save it as DOCX or PDF"),
    (b"%!PS", "a PostScript file; save it as PDF"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_HTML = re.compile(rb"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
_HTML_PARTS = re.compile(rb"<(?:head|body|table|div|p|h1|ul|span|a|br|title|meta|article|section)[\s/>]", re.IGNORECASE)
_XML = re.compile(rb"\s*(?:<\?xml\s|<svg[\s>]|<!DOCTYPE\s+(?!html))", re.IGNORECASE)
_HEADER = re.compile(
    rb"^(?:Return-Path|Received|Delivered-To|Message-ID|MIME-Version|From|To|Cc|Subject|Date|Content-Type|Reply-To"
    rb"|DKIM-Signature|X-[A-Za-z-]+):",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_LINE = re.compile(rb"(?:From |[!-9;-~]{1,76}:)")


_PDF = re.compile(rb"%PDF-\d")


def _is_pdf(data: bytes) -> bool:
    """Whether a file is a PDF. Readers take a header within the first 1,024 bytes; a text may speak of one there."""
    found = _PDF.search(data[:1024])
    return found is not None and (found.start() == 0 or b"startxref" in data or looks_binary(data))


def sniff(data: bytes, wanted: Wanted) -> Kind:
    """Return the kind of a file.

    Raises:
        Unreadable: ``unsupported-format``, naming what it is and what to do.
    """
    if _is_pdf(data):
        return Kind.PDF
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return Kind.ZIP
    if data.startswith(COMPOUND):
        compound_kind(data)
        return Kind.ENCRYPTED_OFFICE
    if not data.strip(b" \t\r\n\0"):
        raise Unreadable("document-empty", "the file holds nothing but blanks")
    binary = looks_binary(data)
    for mark, what in _FOREIGN:
        if data.startswith(mark) and (binary or len(mark) > 2):
            raise Unreadable("unsupported-format", f"the file is {what}")
    if binary:
        raise Unreadable("unsupported-format", f"the file is neither text nor one of {READABLE}")
    return _text_kind(data[:HEAD], label(wanted))


READABLE = "PDF, DOCX, XLSX, CSV, TSV, HTML, e-mail (EML), XML, Markdown and plain text"


def label(wanted: Wanted) -> Kind | None:
    """Return the kind a file is called by its name, else by its media type."""
    suffix = wanted.name.rpartition(".")[2].lower() if "." in wanted.name else ""
    return _SUFFIXES.get(suffix) or _MEDIA.get(wanted.media_type.partition(";")[0].strip().lower())


def mislabelled(kind: Kind, wanted: Wanted) -> str:
    """Return a note when a file is called something else than it is."""
    called = label(wanted)
    plain = {Kind.TEXT, Kind.MARKDOWN}
    if called in (None, kind) or (called in plain and kind in plain):
        return ""
    return f"the file is called {called}, but by its content it is {kind}; it was read as {kind}"


def _text_kind(head: bytes, called: Kind | None) -> Kind:
    start = _narrow(head).lstrip(b"\xef\xbb\xbf \t\r\n")
    if _is_html(start, called):
        return Kind.HTML
    if _XML.match(start):
        return Kind.XML
    if _is_mail(start, called):
        return Kind.EMAIL
    return called if called in (Kind.CSV, Kind.TSV, Kind.MARKDOWN) else Kind.TEXT


def _is_html(start: bytes, called: Kind | None) -> bool:
    if start.startswith(b"<") and _HTML.search(start):
        return True
    parts = len(_HTML_PARTS.findall(start))
    return parts > (0 if called is Kind.HTML else 2) and (called is Kind.HTML or (called is None and start[:1] == b"<"))


def _is_mail(start: bytes, called: Kind | None) -> bool:
    if _HEADER_LINE.match(start) is None:
        return False
    names = {name.lower() for name in _HEADER.findall(re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0])}
    return len(names) >= (1 if called is Kind.EMAIL else 3) or (start.startswith(b"From ") and len(names) > 1)


def _narrow(head: bytes) -> bytes:
    """Return UTF-16 as bytes of its ASCII characters, anything else as it is."""
    return head.replace(b"\0", b"")[2:] if head.startswith((b"\xff\xfe", b"\xfe\xff")) else head
