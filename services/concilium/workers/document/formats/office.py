"""Zipped Office documents (OOXML): opened, measured before anything is unpacked, decrypted when a password is given."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import msoffcrypto
from lxml import etree
from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

from concilium.workers.document import limits
from concilium.workers.document.formats.sniff import READABLE, Kind
from concilium.workers.document.found import Unreadable, damaged
from concilium.workers.document.source import Source

CHUNK = 1 << 20
CONTENT_TYPES = "[Content_Types].xml"
_MAIN = re.compile(rb"application/vnd\.(?:openxmlformats-officedocument|ms-(?:word|excel|powerpoint))\.([a-zA-Z.]+)")
_DOCTYPE = (b"<!DOCTYPE", b"<!ENTITY")
_XML_SUFFIXES = (".xml", ".rels", ".vml")
_SPIN = re.compile(rb'spinCount="(\d{1,20})"')
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError, KeyError, RuntimeError)
"""What zipfile raises on damaged, encrypted and unknown entries."""


class Package:
    """An open package whose XML parts were all found to be of sane size and without entity declarations."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.entries = {entry.filename: entry for entry in archive.infolist()}
        self.notes = list(_notes(self.entries))
        self.kind = self._kind()

    @classmethod
    @contextmanager
    def opened(cls, data: bytes) -> "Iterator[Package]":
        """Open and check a package.

        Raises:
            Unreadable: ``document-damaged``, ``zip-bomb``, ``document-hostile`` (declares entities) or
                ``unsupported-format``.
        """
        try:
            archive = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN as error:
            raise damaged(f"the zipped document cannot be opened: {error}") from error
        with archive:
            _check_directory(archive.infolist())
            package = cls(archive)
            for entry in package.entries.values():
                if _is_xml(entry):
                    package._check_part(entry)
            yield package

    def read(self, name: str, most: int = limits.ZIP_TREE_BYTES) -> bytes:
        """Return a part; b'' when there is none. Raises `Unreadable` when it is larger than ``most``."""
        entry = self.entries.get(name)
        if entry is None:
            return b""
        if entry.file_size > most:
            raise Unreadable(
                "document-too-large", f"{name} unpacks to {entry.file_size} bytes; at most {most} of such are read"
            )
        with self.open(name) as part:
            return part.read(most)

    def open(self, name: str) -> IO[bytes]:
        """Open a part for reading."""
        try:
            return self._archive.open(self.entries[name])
        except _BROKEN as error:
            raise damaged(f"the part {name} cannot be opened: {error}") from error

    def tree(self, name: str) -> Any:
        """Return a part as an XML tree, None when there is none. Raises `Unreadable` when it is no XML."""
        content = self.read(name)
        if not content:
            return None
        try:
            return etree.fromstring(content, parser())
        except etree.XMLSyntaxError as error:
            raise damaged(f"the part {name} is not XML: {error}") from error

    def search(self, name: str, pattern: re.Pattern[bytes]) -> bool:
        """Whether a pattern (of at most 200 bytes) occurs in a part, which is not held whole."""
        tail = b""
        with self.open(name) as part:
            while chunk := part.read(CHUNK):
                if pattern.search(tail + chunk):
                    return True
                tail = chunk[-200:]
        return False

    def _kind(self) -> Kind:
        kinds = set(_MAIN.findall(self.read(CONTENT_TYPES)))
        joined = b" ".join(kinds)
        if "word/document.xml" in self.entries or b"wordprocessingml.document.main" in joined:
            return Kind.DOCX
        if "xl/workbook.xml" in self.entries or b"spreadsheetml.sheet.main" in joined:
            return Kind.XLSX
        raise Unreadable("unsupported-format", f"the file is {self._foreign()}")

    def _foreign(self) -> str:
        if any(name.startswith("ppt/") for name in self.entries):
            return "a presentation (PPTX); save it as PDF"
        if "xl/workbook.bin" in self.entries:
            return "a binary workbook (XLSB); save it as XLSX"
        if "mimetype" in self.entries:
            mime = self.read("mimetype", 4096).decode("ascii", "replace").strip()[:80]
            return f"a document of the type {mime}; save it as PDF, DOCX or XLSX"
        return f"a ZIP archive and none of {READABLE}; send the documents in it one by one"

    def _check_part(self, entry: zipfile.ZipInfo) -> None:
        """Read a part once without keeping it: is it whole, as large as it says, and free of entities?"""
        tail = b""
        try:
            with self._archive.open(entry) as part:
                while chunk := part.read(CHUNK):
                    text = (tail + chunk).replace(b"\0", b"")  # UTF-16 too
                    if any(mark in text for mark in _DOCTYPE):
                        detail = f"{_shown(entry)} declares XML entities, which Office documents never do"
                        raise Unreadable("document-hostile", detail)
                    tail = chunk[-32:]
        except _BROKEN as error:
            raise damaged(f"{_shown(entry)} cannot be unpacked: {error}") from error


def parser() -> Any:
    """Return an XML parser that fetches nothing, knows no entities and stops at libxml2's limits of depth."""
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )


def decrypted(source: Source) -> bytes:
    """Return an encrypted Office document in the clear.

    Raises:
        Unreadable: ``password-required``, ``wrong-password``, ``document-damaged`` or ``document-hostile``.
    """
    password = source.wanted.password
    if not password:
        raise Unreadable("password-required", "the document is encrypted; send its password in `password`")
    for rounds in _SPIN.findall(source.data):
        if int(rounds) > limits.SPIN_COUNT:
            raise Unreadable("document-hostile", f"its password is hashed {int(rounds)} times, to keep readers busy")
    if any(mark in source.data for mark in _DOCTYPE):
        raise Unreadable("document-hostile", "its description of the encryption declares XML entities")
    out = io.BytesIO()
    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(source.data))
        file.load_key(password=password, verify_password=True)
        file.decrypt(out)
    except InvalidKeyError as error:
        raise Unreadable("wrong-password", "the password does not open the document") from error
    except (DecryptionError, FileFormatError, ParseError) as error:
        raise damaged(f"the encrypted document cannot be opened: {error}") from error
    content = out.getvalue()
    if not content.startswith(b"PK"):
        raise Unreadable("wrong-password", "the password does not open the document, or it is damaged")
    return content


def _check_directory(entries: list[zipfile.ZipInfo]) -> None:
    """Raise ``zip-bomb`` when what a package says of its parts is more than a document has."""
    if len(entries) > limits.ZIP_ENTRIES:
        raise Unreadable("zip-bomb", f"the document has {len(entries)} parts; at most {limits.ZIP_ENTRIES} are read")
    xml = [entry for entry in entries if _is_xml(entry)]
    for entry in xml:
        swollen = entry.file_size > limits.ZIP_RATIO_BYTES
        if swollen and entry.file_size > limits.ZIP_RATIO * max(1, entry.compress_size):
            ratio = entry.file_size // max(1, entry.compress_size)
            raise Unreadable("zip-bomb", f"{_shown(entry)} unpacks to {ratio} times its size")
        if entry.file_size > limits.ZIP_PART_BYTES:
            raise Unreadable("zip-bomb", f"{_shown(entry)} unpacks to {entry.file_size} bytes")
    total = sum(entry.file_size for entry in xml)
    if total > limits.ZIP_BYTES:
        raise Unreadable("zip-bomb", f"the document unpacks to {total} bytes; at most {limits.ZIP_BYTES} are read")


def _is_xml(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.lower().endswith(_XML_SUFFIXES)


def _shown(entry: zipfile.ZipInfo) -> str:
    return f"the part '{entry.filename[:80]}'"


def _notes(entries: dict[str, zipfile.ZipInfo]) -> Iterator[str]:
    """Yield what a package holds beside its text."""
    names = [name.lower() for name in entries]
    if any(name.endswith(("vbaproject.bin", "vbadata.xml")) for name in names):
        yield "the document holds macros; they were not run"
    if any("/macrosheets/" in name for name in names):
        yield "the workbook holds Excel 4.0 macro sheets; they were not run"
    embedded = sum("/embeddings/" in name for name in names)
    if embedded:
        yield f"the document holds {embedded} embedded files; they were not opened"
    if any("/activex/" in name for name in names):
        yield "the document holds ActiveX controls; they were not run"
    if any(".." in name.replace("\\", "/").split("/") or name.startswith(("/", "\\")) for name in names):
        yield "the document has parts whose names point outside it; nothing is unpacked to disk"
    if any("/externallinks/" in name for name in names):
        yield "the workbook refers to other files; they were not fetched"
