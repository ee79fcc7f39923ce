"""Compound files (OLE2): old Office documents, Outlook messages, and the wrapper of encrypted new ones."""

import io

import olefile

from concilium.workers.document.found import Unreadable, damaged

COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD: tuple[tuple[str, str], ...] = (
    ("WordDocument", "an old Word document (DOC); save it as DOCX or PDF"),
    ("Workbook", "an old Excel workbook (XLS); save it as XLSX"),
    ("Book", "an old Excel workbook (XLS); save it as XLSX"),
    ("PowerPoint Document", "an old presentation (PPT); save it as PDF"),
    ("__properties_version1.0", "an Outlook message (MSG); save it as EML"),
)


def compound_kind(data: bytes) -> None:
    """Return when a compound file is an encrypted Office document.

    Raises:
        Unreadable: it is another, named in ``unsupported-format``; or ``document-damaged``.
    """
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            if container.exists("EncryptedPackage") and container.exists("EncryptionInfo"):
                return
            for stream, what in _OLD:
                if container.exists(stream):
                    raise Unreadable("unsupported-format", f"the file is {what}")
    except Unreadable:
        raise
    except Exception as error:  # olefile raises what a damaged byte leads to: OSError, struct.error, IndexError …
        raise damaged(f"the compound file cannot be opened ({type(error).__name__})") from error
    raise Unreadable("unsupported-format", "the file is a compound file without a document this agent reads")
