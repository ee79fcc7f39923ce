"""What a PDF page is: text, a scan, a scan with recognised text behind it, or text that means nothing."""

import ctypes
from dataclasses import dataclass
from typing import Any

from pypdfium2 import raw

from concilium.workers.document import limits

_INVISIBLE = 3
"""Text render mode (ISO 32000-1, table 106)."""
_PUNCTUATION = frozenset(".,;:!?()[]{}'\"/\\-–—_+*=%&@#$€£¥₽№°«»“”„’‘<>|~^§©®™•·…×÷±")
FEW_CHARS = 20
"""A page with fewer characters and an image on a good part of it is a scan."""
STAMP_CHARS = 100
"""A page with fewer characters and an image on nearly all of it is a scan with a stamp or a page number."""
OUTLINES = 150
"""A page without text and with more drawn paths than this may hold text drawn as outlines."""


@dataclass
class Look:
    """What is on a page."""

    images: int = 0
    image_area: float = 0.0
    """Square points covered by images, overlaps counted twice."""
    paths: int = 0
    across: int = 0
    """Thin or boxed rules from left to right."""
    down: int = 0
    texts: int = 0
    invisible: int = 0
    """Pieces of text in no colour: a layer behind a scan."""

    @property
    def ruled(self) -> bool:
        """Lines that may be a table's."""
        return self.across >= 3 and self.down >= 2


@dataclass(frozen=True)
class Verdict:
    """What to do with a page."""

    scanned: bool
    keep_text: bool
    note: str = ""


def look(page: Any) -> Look:
    """Count what is on a page; of one with very many objects, only the first are looked at."""
    found = Look()
    for index in range(min(raw.FPDFPage_CountObjects(page), limits.PAGE_OBJECTS)):
        _count(raw.FPDFPage_GetObject(page, index), found)
    return found


def judge(text: str, unmapped: float, found: Look, page_area: float) -> Verdict:
    """Return what a page is.

    Args:
        text: its characters.
        unmapped: the share of characters whose font does not say what they mean.
        found: what is on it.
        page_area: in square points.
    """
    letters = sum(not c.isspace() for c in text)
    covered = min(1.0, found.image_area / max(page_area, 1.0))
    garbage = _garbage(text, letters, unmapped)
    if garbage:
        return Verdict(True, False, f"its text layer means nothing ({garbage}) and was left out")
    if (letters < FEW_CHARS and covered >= 0.3) or (letters < STAMP_CHARS and covered >= 0.8):
        return Verdict(True, True)
    if letters == 0 and (found.images or found.paths > OUTLINES):
        return Verdict(True, True, "" if found.images else "it has no text, but drawings that may be text")
    return Verdict(False, True, _unseen(found, covered))


def _unseen(found: Look, covered: float) -> str:
    """Return what there is to say of text that cannot be seen."""
    if not found.invisible:
        return ""
    if found.invisible < 0.5 * found.texts:
        return "a part of its text is invisible on the page"
    if covered >= 0.3:
        return "its text is a layer that a recogniser left behind the scan; it may err"
    return "its text is invisible on the page"


def _garbage(text: str, letters: int, unmapped: float) -> str:
    """Return why a text means nothing, '' when it may mean something."""
    if letters < FEW_CHARS:
        return ""
    if unmapped > 0.3:
        return "its font does not say which characters they are"
    odd = sum(not (c.isalnum() or c.isspace() or c in _PUNCTUATION) for c in text)
    if odd > 0.3 * letters:
        return "most characters are no letters, digits or punctuation"
    words = text.split()
    alone = sum(len(word) == 1 and not word.isdigit() for word in words)
    if len(words) >= 40 and alone > 0.7 * len(words):
        return "its letters stand apart"
    return ""


def _count(item: Any, found: Look) -> None:
    kind = raw.FPDFPageObj_GetType(item)
    if kind == raw.FPDF_PAGEOBJ_TEXT:
        found.texts += 1
        found.invisible += raw.FPDFTextObj_GetTextRenderMode(item) == _INVISIBLE
    elif kind == raw.FPDF_PAGEOBJ_PATH:
        found.paths += 1
        _rule(_bounds(item), found)
    elif kind == raw.FPDF_PAGEOBJ_IMAGE:
        _image(item, found)
    elif kind == raw.FPDF_PAGEOBJ_FORM:
        _form(item, found)


def _form(form: Any, found: Look) -> None:
    """Count a group of objects, its places unknown: its images are taken to fill it."""
    inner = Look()
    pending = [(form, 0)]
    looked = 0
    while pending and looked < limits.PAGE_OBJECTS // 10:
        group, depth = pending.pop()
        for index in range(min(raw.FPDFFormObj_CountObjects(group), limits.PAGE_OBJECTS // 10)):
            looked += 1
            item = raw.FPDFFormObj_GetObject(group, index)
            if raw.FPDFPageObj_GetType(item) != raw.FPDF_PAGEOBJ_FORM:
                _count(item, inner)
            elif depth < 4:
                pending.append((item, depth + 1))
    if inner.images:
        _image(form, found)
    found.images += max(0, inner.images - 1)
    found.texts += inner.texts
    found.invisible += inner.invisible
    found.paths += inner.paths
    found.across += inner.across
    found.down += inner.down


def _image(item: Any, found: Look) -> None:
    left, bottom, right, top = _bounds(item)
    found.images += 1
    found.image_area += max(0.0, right - left) * max(0.0, top - bottom)


def _rule(bounds: tuple[float, float, float, float], found: Look) -> None:
    left, bottom, right, top = bounds
    width, height = right - left, top - bottom
    boxed = width > 20 and height > 8
    found.across += (width > 20 and height < 3) + 2 * boxed
    found.down += (height > 8 and width < 3) + 2 * boxed


def _bounds(item: Any) -> tuple[float, float, float, float]:
    """Return left, bottom, right and top; zeros when they are unknown."""
    edges = [ctypes.c_float() for _ in range(4)]
    if not raw.FPDFPageObj_GetBounds(item, *(ctypes.byref(edge) for edge in edges)):
        return 0.0, 0.0, 0.0, 0.0
    left, bottom, right, top = (edge.value for edge in edges)
    return left, bottom, right, top
