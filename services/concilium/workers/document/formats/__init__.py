"""The readers, one a format. Only a cell's server imports this: it loads every parser."""

from collections.abc import Callable, Iterator, Mapping

from concilium.workers.document.formats import docx, html, mail, pdf, plain, separated, xlsx, xml
from concilium.workers.document.formats.office import Package, decrypted
from concilium.workers.document.formats.preload import preload
from concilium.workers.document.formats.sniff import Kind, mislabelled, sniff
from concilium.workers.document.found import Begin, Found, Unreadable
from concilium.workers.document.source import Source

preload()

_READERS: Mapping[Kind, Callable[[Source], Iterator[tuple[Found, bytes]]]] = {
    Kind.PDF: pdf.read,
    Kind.HTML: html.read,
    Kind.XML: xml.read,
    Kind.EMAIL: mail.read,
    Kind.CSV: separated.read,
    Kind.TSV: separated.read,
    Kind.MARKDOWN: plain.read,
    Kind.TEXT: plain.read,
}
_OFFICE: Mapping[Kind, Callable[[Source, Package], Iterator[tuple[Found, bytes]]]] = {
    Kind.DOCX: docx.read,
    Kind.XLSX: xlsx.read,
}


def read(source: Source) -> Iterator[tuple[Found, bytes]]:
    """Yield what is found in a document; the first message is its `Begin`, the last its `End`.

    Raises:
        Unreadable: it cannot be read, and why.
    """
    if not source.data:
        raise Unreadable("document-empty", "the file has no bytes")
    kind = sniff(source.data, source.wanted)
    if kind is Kind.ENCRYPTED_OFFICE:
        source = Source(decrypted(source), source.wanted)
        kind = Kind.ZIP
    if kind is not Kind.ZIP:
        yield from _noted(_READERS[kind](source), kind, source)
        return
    with Package.opened(source.data) as package:
        kind = package.kind
        yield from _noted(_OFFICE[kind](source, package), kind, source)


def _noted(messages: Iterator[tuple[Found, bytes]], kind: Kind, source: Source) -> Iterator[tuple[Found, bytes]]:
    """Add to the first message what its label says wrongly."""
    note = mislabelled(kind, source.wanted)
    for said, content in messages:
        if note and isinstance(said, Begin):
            yield said.model_copy(update={"notes": [note, *said.notes]}), content
        else:
            yield said, content
