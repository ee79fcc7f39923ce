"""What a PDF holds beside its pages: scripts, programs to start, files. All of it is named, nothing run or opened."""

import re
import zlib
from collections.abc import Iterator
from typing import Any

from pypdfium2 import PdfiumError, raw

from concilium.workers.document.found import Attachment

_OBJECT_STREAMS = 200
_OBJECT_STREAM_BYTES = 1 << 20
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm\b[^>]{0,400}>>\s*stream\r?\n")
_SIGNS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"/(?:JavaScript|JS)\b"), "the PDF holds JavaScript; it was not run"),
    (re.compile(rb"/Launch\b"), "the PDF asks to start a program; it was not started"),
    (
        re.compile(rb"/(?:SubmitForm|ImportData|GoToR|GoToE)\b"),
        "the PDF asks to send data or open files; it was not done",
    ),
    (re.compile(rb"/(?:RichMedia|Movie|Sound|3D)\b"), "the PDF holds media; they were not played"),
    (re.compile(rb"/XFA\b"), "the PDF holds an XFA form; only its ordinary pages were read"),
)
_INFO = {
    "Author": "author",
    "Subject": "subject",
    "Keywords": "keywords",
    "Creator": "application",
    "Producer": "producer",
    "CreationDate": "created",
    "ModDate": "modified",
}
_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?)?")


def notes(document: Any, data: bytes) -> Iterator[str]:
    """Yield what the PDF asks for and is not given."""
    inner = b"\n".join(_object_streams(data))
    for sign, note in _SIGNS:
        if sign.search(data) or sign.search(inner):
            yield note
    if raw.FPDFDoc_GetAttachmentCount(document) > 0:
        yield "the PDF holds files; they are listed and were not opened"


def attachments(document: Any) -> list[Attachment]:
    """Return the names of the files in a PDF."""
    found: list[Attachment] = []
    for index in range(min(document.count_attachments(), 100)):
        try:
            name = document.get_attachment(index).get_name()
        except (PdfiumError, UnicodeError):
            name = ""
        bare = name.replace("\\", "/").rpartition("/")[2] or f"file {index + 1}"
        found.append(Attachment(name=bare, media_type="application/octet-stream", read=False))
    return found


def information(document: Any) -> tuple[str | None, dict[str, str]]:
    """Return a PDF's title and what else it says of itself."""
    said = document.get_metadata_dict(skip_empty=True)
    found = {name: said[key].strip() for key, name in _INFO.items() if said.get(key, "").strip()}
    for name in ("created", "modified"):
        if name in found:
            found[name] = _date(found[name])
    version = document.get_version()
    if version:
        found["version"] = f"{version // 10}.{version % 10}"
    return said.get("Title", "").strip() or None, found


def _date(text: str) -> str:
    """Return a PDF date (ISO 32000-1, 7.9.4) in ISO 8601; text that is none stays as it is."""
    match = _DATE.match(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, zulu, sign, hours, minutes = match.groups()
    date = "-".join(filter(None, (year, month, day)))
    if hour is None:
        return date
    zone = "Z" if zulu else f"{sign}{hours}:{minutes or '00'}" if sign else ""
    return f"{date}T{hour}:{minute or '00'}:{second or '00'}{zone}"


def _object_streams(data: bytes) -> Iterator[bytes]:
    """Yield what compressed objects say, a part of each."""
    for _, match in zip(range(_OBJECT_STREAMS), _OBJECT_STREAM.finditer(data), strict=False):
        try:
            yield zlib.decompressobj().decompress(
                data[match.end() : match.end() + _OBJECT_STREAM_BYTES], _OBJECT_STREAM_BYTES
            )
        except zlib.error:  # another filter, or encrypted
            continue
