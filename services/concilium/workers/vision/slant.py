"""How text lies on a page: its slant, and whether its lines run across or up and down. 180° is not told here.

Lines of text leave bare stripes between them. For an angle the ink is projected across it; where the angle is the
lines' own, the sums of the stripes differ most (the projection profile method: Postl 1986, Baird 1987).
"""

from dataclasses import dataclass

import cv2
import numpy
from numpy.typing import NDArray

from concilium.workers.vision.sheet import Grey

LONGER_SIDE = 1000
"""Pixels of the page that is looked at."""
INK_MAX = 40_000
"""Points of ink that are looked at."""
COARSE, FINE = 1.0, 0.1
"""Steps of the search in degrees."""
STEEPEST = 30.0
"""Slants up to this many degrees are looked for."""
CLEAR = 1.15
"""The better axis is clear when its stripes differ so much more than the other's."""
MARKS_MIN = 60
"""Less ink tells nothing."""


@dataclass(frozen=True, slots=True)
class Slant:
    """The text's direction."""

    degrees: float
    """By which the lines fall to the right, -30 to 30, after the quarter turn."""
    upended: bool
    """Whether lines run up or down the page."""
    clear: bool
    """Whether it is sure that they run so."""


def slant_of(grey: Grey) -> Slant:
    """Return how the text lies; level and unsure where there is hardly any."""
    xs, ys = _ink(grey)
    if len(xs) < MARKS_MIN:
        return Slant(0.0, False, False)
    across = _best(xs, ys)
    # Turned clockwise by a quarter, a place (x, y) comes to (-y, x).
    upright = _best(-ys, xs)
    upended = upright[1] > CLEAR * across[1]
    chosen, other = (upright, across) if upended else (across, upright)
    return Slant(chosen[0], upended, chosen[1] > CLEAR * other[1])


def _ink(grey: Grey) -> tuple[NDArray[numpy.float64], NDArray[numpy.float64]]:
    """Return the places where letters have their edges: on shaded paper too, and not inside of pictures."""
    factor = min(1.0, LONGER_SIDE / max(grey.shape))
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    small = cv2.GaussianBlur(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
    hollow = cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, numpy.ones((15, 15), numpy.uint8))
    raised = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, numpy.ones((15, 15), numpy.uint8))
    marks = hollow if hollow.mean() >= raised.mean() else raised
    level, _ = cv2.threshold(marks, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    rows, columns = numpy.nonzero(marks > max(20.0, level))
    if len(rows) > INK_MAX:
        keep = numpy.random.default_rng(0).choice(len(rows), INK_MAX, replace=False)
        rows, columns = rows[keep], columns[keep]
    return columns.astype(float), rows.astype(float)


def _best(xs: NDArray[numpy.float64], ys: NDArray[numpy.float64]) -> tuple[float, float]:
    """Return the angle whose stripes differ most and by how much."""
    coarse = numpy.arange(-STEEPEST, STEEPEST + COARSE / 2, COARSE)
    start = max(coarse, key=lambda angle: _contrast(xs, ys, angle))
    fine = numpy.arange(start - COARSE, start + COARSE + FINE / 2, FINE)
    best = max(fine, key=lambda angle: _contrast(xs, ys, angle))
    return round(float(best), 2), _contrast(xs, ys, best)


def _contrast(xs: NDArray[numpy.float64], ys: NDArray[numpy.float64], degrees: float) -> float:
    angle = numpy.radians(degrees)
    across = ys * numpy.cos(angle) - xs * numpy.sin(angle)
    across -= across.min()
    counts = numpy.bincount((across / 2).astype(numpy.int64))
    return float(numpy.square(numpy.diff(counts)).sum())
