"""XML and SVG files: their text; entities are never expanded, nothing is fetched."""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from concilium.workers.document import limits
from concilium.workers.document.formats.charset import decode
from concilium.workers.document.formats.html import declared_charsets
from concilium.workers.document.formats.office import parser
from concilium.workers.document.formats.plain import begin
from concilium.workers.document.formats.sniff import Kind
from concilium.workers.document.found import End, Found, Page, Unreadable, damaged
from concilium.workers.document.page_numbers import selected
from concilium.workers.document.source import Source
from concilium.workers.document.text import tidy

_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_SILENT = frozenset({"script", "style"})
_REMOTE = re.compile(r"\s*(?:https?:|ftp:|file:|//)", re.IGNORECASE)


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield the text of an XML document as one page, one text a line."""
    size = len(source.data)
    if size > limits.HTML_BYTES:
        raise Unreadable("document-too-large", f"the XML has {size} bytes; at most {limits.HTML_BYTES} are read")
    selected(source.wanted.pages, 1)
    decoded = decode(source.data, declared_charsets(source.data))
    if "<!ENTITY" in decoded.text:
        raise Unreadable("document-hostile", "the XML declares entities, which this agent does not expand")
    try:
        root = etree.fromstring(_DECLARATION.sub("", decoded.text, count=1).strip(), parser())
    except etree.XMLSyntaxError as error:
        raise damaged(f"the file is not well-formed XML: {error}") from error
    title = next((e.text for e in root.iter("{*}title") if e.text), None)
    first = begin(Kind.XML, decoded, title=title, metadata={"root": etree.QName(root).localname})
    yield first.model_copy(update={"notes": [*first.notes, *_notes(root, decoded.text)]}), b""
    yield Page(number=1, text=tidy("\n".join(_texts(root)))[: limits.PAGE_CHARS]), b""
    yield End(), b""


def _texts(root: Any) -> Iterator[str]:
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        silent = etree.QName(element).localname in _SILENT
        text = element.tail if event == "end" else None if silent else element.text
        if text and text.strip():
            yield " ".join(text.split())


def _notes(root: Any, text: str) -> Iterator[str]:
    if "<!DOCTYPE" in text:
        yield "the document names a DTD; it was not fetched"
    if next(root.iter("{*}script"), None) is not None:
        yield "the document holds scripts; they were not run"
    links = (
        value for e in root.iter("{*}image", "{*}use") for name, value in e.attrib.items() if name.endswith("href")
    )
    if any(_REMOTE.match(value) for value in links):
        yield "the document refers to files elsewhere; nothing was fetched"
