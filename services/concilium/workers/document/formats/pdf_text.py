"""The text of a PDF page as pdfium finds it, with the place of each line."""

import ctypes
from typing import Any

from pypdfium2 import raw

from concilium.workers.document.formats.layout import HYPHEN, Line

_GAP = 2.2
"""A blank wider than this many times the line's height separates pieces of a row."""
_LIGATURES = str.maketrans({
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ft", "ﬆ": "st", "\xad": HYPHEN, "\ufffe": HYPHEN,
})  # fmt: skip
_WIDE = 10.0
"""Device units to a point: places are whole numbers of these."""
_FAR = 1000.0
"""How far apart the places are, in points, by which a page's directions are measured."""


class PageText:
    """A page's characters. They belong to pdfium: use it while the page is open, close it before the page."""

    def __init__(self, page: Any) -> None:
        self._text = page.get_textpage()
        self.characters = int(self._text.count_chars())
        self._axes = _axes(page, *page.get_size())

    def close(self) -> None:
        """Give the characters back."""
        self._text.close()

    def string(self) -> str:
        """Return the characters one by one as text: as many as there are characters."""
        whole = self._text.get_text_range() if self.characters else ""
        if len(whole) == self.characters:
            return str(whole)
        codes = (raw.FPDFText_GetUnicode(self._text, index) for index in range(self.characters))
        return "".join(chr(code) if 0 < code < 0x110000 else "\ufffd" for code in codes)

    def unmapped(self, sample: int = 400) -> float:
        """Return the share of characters, 0 to 1, whose font does not say what they mean."""
        if not self.characters:
            return 0.0
        step = max(1, self.characters // sample)
        looked = range(0, self.characters, step)
        bad = sum(raw.FPDFText_HasUnicodeMapError(self._text, index) == 1 for index in looked)
        return float(bad / len(looked))

    def lines(self) -> list[Line]:
        """Return the lines, those with wide gaps in pieces, in the order of the file."""
        found: list[Line] = []
        text = self.string()
        start = 0
        for part in text.split("\n"):
            self._pieces(text, start, start + len(part.rstrip("\r")), found)
            start += len(part) + 1
        return found

    def _pieces(self, text: str, start: int, end: int, found: list[Line]) -> None:
        """Add the line between two characters, cut where a gap is wide."""
        begin = start
        for index in range(start, end):
            if text[index] == " " and begin < index < end - 1 and self._gap(index, end):
                self._line(text, begin, index, found)
                begin = index + 1
        self._line(text, begin, end, found)

    def _gap(self, index: int, end: int) -> bool:
        before, after = self._box(index - 1), self._box(index + 1) if index + 1 < end else None
        if before is None or after is None:
            return False
        height = max(before[3] - before[1], after[3] - after[1], 1.0)
        return after[0] - before[2] > _GAP * height

    def _line(self, text: str, start: int, end: int, found: list[Line]) -> None:
        words = text[start:end].translate(_LIGATURES).strip()
        if not words:
            return
        first = next((box for i in range(start, end) if text[i] > " " and (box := self._box(i))), None)
        last = next((box for i in range(end - 1, start - 1, -1) if text[i] > " " and (box := self._box(i))), None)
        if first is None or last is None:
            found.append(Line(words, 0, 0, 0, 0))
            return
        edges = zip(first, last, strict=True)
        (left, left2), (top, top2), (right, right2), (bottom, bottom2) = edges
        found.append(Line(words, min(left, left2), min(top, top2), max(right, right2), max(bottom, bottom2)))

    def _box(self, index: int) -> tuple[float, float, float, float] | None:
        """Return a character's left, top, right and bottom on the page as it is shown."""
        rect = raw.FS_RECTF()
        if not raw.FPDFText_GetLooseCharBox(self._text, index, ctypes.byref(rect)):
            return None
        x1, y1 = self._shown(rect.left, rect.top)
        x2, y2 = self._shown(rect.right, rect.bottom)
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def _shown(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the page's own coordinates is shown, whatever way the page is turned."""
        (x0, y0), (across_x, across_y), (up_x, up_y) = self._axes
        return x0 + across_x * x + up_x * y, y0 + across_y * x + up_y * y


def _axes(page: Any, width: float, height: float) -> tuple[tuple[float, float], ...]:
    """Return where the origin is shown, and how the page's own two directions are."""
    size = (min(int(width * _WIDE), 2**20), min(int(height * _WIDE), 2**20))
    places = []
    for x, y in ((0, 0), (_FAR, 0), (0, _FAR)):
        across, down = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(page, 0, 0, *size, 0, x, y, ctypes.byref(across), ctypes.byref(down))
        places.append((across.value / _WIDE, down.value / _WIDE))
    (x0, y0), (x1, y1), (x2, y2) = places
    return (x0, y0), ((x1 - x0) / _FAR, (y1 - y0) / _FAR), ((x2 - x0) / _FAR, (y2 - y0) / _FAR)
