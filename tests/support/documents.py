"""Writes documents for tests: PDFs object by object, so that they can be as odd as needed, and zipped Office files."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import OutFile
from concilium.workers.runtime.testing import input_file, run_skill

AGENT = Path(__file__).resolve().parents[2] / "agents" / "document"
_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
"""ISO 32000-1, 7.6.3.3: what a password is filled up with."""


def extract(data: bytes, name: str = "file", media_type: str = "application/octet-stream", **wanted: JSON) -> JSON:
    """Return the output of ``document.extract``, with the files by name under ``files``."""
    file = OutFile(name, media_type, data)
    result = run_skill(AGENT, "document.extract", {"file": input_file(file), **wanted}, [file])
    return {**result.output, "files": {made.name: made.data for made in result.files}}


@dataclass
class PdfPage:
    """A page: its content stream, and what it needs."""

    content: bytes
    resources: bytes = b"/Font << /F1 1 0 R >>"
    extra: bytes = b""
    """More entries of the page's dictionary."""


@dataclass
class Pdf:
    """A PDF of A4 pages in Helvetica, object 1 its font."""

    pages: list[PdfPage] = field(default_factory=list)
    catalog: bytes = b""
    """More entries of the catalog."""
    info: bytes = b""
    objects: list[bytes] = field(default_factory=list)
    """Further objects, from number 4 on."""

    def add(self, item: bytes) -> int:
        """Add an object and return its number."""
        self.objects.append(item)
        return 3 + len(self.objects)

    def bytes(self, password: str = "") -> bytes:
        """Return the file; with a password it is encrypted with RC4 and 40 bits."""
        count = len(self.pages)
        first = 4 + len(self.objects)
        kids = b" ".join(b"%d 0 R" % (first + 2 * i) for i in range(count))
        objects = [
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            b"<< /Type /Catalog /Pages 3 0 R " + self.catalog + b" >>",
            b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count),
            *self.objects,
        ]
        for i, page in enumerate(self.pages):
            box = b"" if b"/MediaBox" in page.extra else b"/MediaBox [0 0 595 842]"
            objects.append(
                b"<< /Type /Page /Parent 3 0 R %s /Resources << %s >> /Contents %d 0 R %s >>"
                % (box, page.resources, first + 2 * i + 1, page.extra)
            )
            objects.append(stream(page.content))
        return write_pdf(objects, self.info, password)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object."""
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def text_at(x: float, y: float, text: str, size: float = 11, mode: int = 0) -> bytes:
    """Return the operators that show a text at a place, in points from the lower left corner; mode 3 is invisible."""
    escaped = text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"BT /F1 %.1f Tf %d Tr %.1f %.1f Td (%s) Tj ET\n" % (size, mode, x, y, escaped)


def text_page(lines: Iterable[str], x: float = 72, y: float = 770, leading: float = 16) -> PdfPage:
    """Return a page of lines, from the top down."""
    return PdfPage(b"".join(text_at(x, y - leading * i, line) for i, line in enumerate(lines)))


def scan_page(pdf: Pdf, lines: Sequence[str], over: bytes = b"", extra: bytes = b"") -> PdfPage:
    """Return a page that is a picture of lines, with more operators over it and more entries in its dictionary."""
    image = Image.new("L", (1240, 1754), 250)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(36)
    for i, line in enumerate(lines):
        draw.text((150, 150 + 60 * i), line, fill=20, font=font)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=60)
    entries = (
        b"/Type /XObject /Subtype /Image /Width 1240 /Height 1754 /ColorSpace /DeviceGray /BitsPerComponent 8"
        b" /Filter /DCTDecode"
    )
    number = pdf.add(stream(out.getvalue(), entries))
    resources = b"/Font << /F1 1 0 R >> /XObject << /I %d 0 R >>" % number
    return PdfPage(b"q 595 0 0 842 0 0 cm /I Do Q\n" + over, resources, extra)


def grid(left: float, top: float, widths: Sequence[float], rows: Sequence[Sequence[str]], height: float = 20) -> bytes:
    """Return a ruled table."""
    right, bottom = left + sum(widths), top - height * len(rows)
    edges = [left + sum(widths[:i]) for i in range(len(widths) + 1)]
    rules = [b"%.1f %.1f m %.1f %.1f l S\n" % (x, top, x, bottom) for x in edges]
    rules += [
        b"%.1f %.1f m %.1f %.1f l S\n" % (left, top - height * i, right, top - height * i) for i in range(len(rows) + 1)
    ]
    cells = [
        text_at(edges[column] + 3, top - height * (row + 1) + 6, text, 9)
        for row, texts in enumerate(rows)
        for column, text in enumerate(texts)
    ]
    return b"".join(rules + cells)


def write_pdf(objects: Sequence[bytes], info: bytes = b"", password: str = "") -> bytes:
    """Return a PDF of objects, the second of which is the catalog."""
    trailer = b""
    objects = list(objects)
    if info:
        objects.append(b"<< " + info + b" >>")
        trailer += b" /Info %d 0 R" % len(objects)
    if password:
        identity = b"0123456789abcdef"
        owner, user, key = _keys(password.encode("cp1252"), identity)
        objects = [_encrypted(item, number, key) for number, item in enumerate(objects, 1)]
        entry = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>"
        objects.append(entry % (owner.hex().encode(), user.hex().encode()))
        trailer += b" /Encrypt %d 0 R /ID [<%b> <%b>]" % (
            len(objects),
            identity.hex().encode(),
            identity.hex().encode(),
        )
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, item in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, item))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size %d /Root 2 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, table))
    return out.getvalue()


def zipped(parts: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP archive of parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def changed(package: bytes, parts: Mapping[str, bytes | None]) -> bytes:
    """Return a zipped document with some parts replaced, added or, as None, left out."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        kept: dict[str, bytes] = {name: archive.read(name) for name in archive.namelist()}
    for name, data in parts.items():
        if data is None:
            kept.pop(name, None)
        else:
            kept[name] = data
    return zipped(kept)


def _keys(password: bytes, identity: bytes) -> tuple[bytes, bytes, bytes]:
    """Return /O, /U and the file's key by ISO 32000-1, algorithms 2 to 4, for revision 2."""
    padded = (password + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    permissions = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + owner + permissions + identity).digest()[:5]
    return owner, _rc4(key, _PADDING), key


def _encrypted(item: bytes, number: int, key: bytes) -> bytes:
    """Return an object with its stream encrypted by ISO 32000-1, algorithm 1; strings in dictionaries are not."""
    head, mark, rest = item.partition(b"stream\n")
    if not mark:
        return item
    content, _, _ = rest.rpartition(b"\nendstream")
    own = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
    return head + mark + _rc4(own, content) + b"\nendstream"


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
