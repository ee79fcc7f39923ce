"""Puts back the blanks between words, which the bundled reader often drops: from the gaps in the ink of a line."""

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from concilium.workers.vision.lines import Line

GAP = 0.12
"""A gap this wide, in heights of the line's box, stands between words."""
LETTERS = 2.4
"""And so many times the gap that stands between its letters."""
INK = 0.35
"""Ink differs from the paper by this part of the line's contrast."""


def with_spaces(line: Line, centres: Sequence[float], pixels: NDArray[Any]) -> Line:
    """Return the line with a blank where the ink has a gap and the text has none.

    Args:
        line: a horizontal line of text.
        centres: horizontal middle of each of its characters, in pixels of the page.
        pixels: the page, rows by columns, grey.
    """
    if len(centres) != len(line.text) or len(line.per_character) != len(line.text) or line.height > line.width:
        return line
    missing = {
        after
        for gap in _gaps(pixels[line.y : line.bottom, line.x : line.right], GAP * line.height)
        if (after := _characters_before(gap + line.x, centres)) and _may_part(*line.text[after - 1 : after + 1])
    }
    text, sure = "", []
    for place, (character, confidence) in enumerate(zip(line.text, line.per_character, strict=True)):
        if place in missing:
            text += " "
            sure.append(1.0)
        text += character
        sure.append(confidence)
    return Line(text, line.x, line.y, line.width, line.height, line.confidence, tuple(sure))


def _may_part(left: str, right: str) -> bool:
    """Return whether a blank may stand between two characters: never within a number, whose digits stand wide."""
    return " " not in (left, right) and (left.isalpha() or right.isalpha())


def _gaps(pixels: NDArray[Any], least: float) -> list[float]:
    """Return the middles of the columns without ink that are together at least so wide, the line's ends left out."""
    if not pixels.size:
        return []
    paper = float(numpy.median(pixels))
    contrast = numpy.abs(pixels.astype(float) - paper)
    inked = numpy.flatnonzero((contrast > INK * contrast.max()).any(axis=0))
    widths = numpy.diff(inked) - 1
    between = widths[widths > 0]
    if not between.size:
        return []
    wide = numpy.flatnonzero(widths >= max(least, LETTERS * float(numpy.median(between))))
    return [(float(inked[i]) + float(inked[i + 1])) / 2 for i in wide]


def _characters_before(x: float, centres: Sequence[float]) -> int:
    """Return how many characters stand left of ``x``; 0 when it is not between two characters."""
    count = sum(centre < x for centre in centres)
    return count if count < len(centres) else 0
