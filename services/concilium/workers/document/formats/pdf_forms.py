"""What was written into a PDF page: filled form fields and comments."""

import ctypes
from collections.abc import Iterator
from typing import Any

from pypdfium2 import raw

_ANNOTATIONS = 500
_COMMENTS = (raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_HIGHLIGHT, raw.FPDF_ANNOT_UNDERLINE)
_VALUE_BYTES = 20_000


def written(page: Any) -> Iterator[str]:
    """Yield a line for each filled field and each comment of a page."""
    for index in range(min(raw.FPDFPage_GetAnnotCount(page), _ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            if kind == raw.FPDF_ANNOT_WIDGET:
                name, value = _string(annotation, b"T"), _string(annotation, b"V")
                if value:
                    yield f"{name}: {value}" if name else value
            elif kind in _COMMENTS and (text := _string(annotation, b"Contents")):
                author = _string(annotation, b"T")
                yield f"[comment] {author}: {text}" if author else f"[comment] {text}"
        finally:
            raw.FPDFPage_CloseAnnot(annotation)


def _string(annotation: Any, key: bytes) -> str:
    """Return a text of an annotation, '' when it has none."""
    size = raw.FPDFAnnot_GetStringValue(annotation, key, None, 0)
    if size <= 2 or size > _VALUE_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(size)
    wide = ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR))
    raw.FPDFAnnot_GetStringValue(annotation, key, wide, size)
    return buffer.raw[: size - 2].decode("utf-16-le", errors="replace").strip()
