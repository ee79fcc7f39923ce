"""Makes a photograph of a page like a scan: the page's outline squared, shadows evened out, slanted lines level."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy
from numpy.typing import NDArray
from PIL import Image

from concilium.workers.vision.sheet import Grey, Sheet, sheet_of
from concilium.workers.vision.slant import Slant, slant_of

LEVEL_DEG = 0.25
"""Lines less slanted are left alone."""
OUTLINE_SIDE = 700
"""Pixels of the image in which the page's outline is looked for."""
OUTLINE_SHARE = 0.2
"""The outline holds at least this part of the image."""
OUTLINE_BRIGHTER = 25.0
"""The page is so many shades brighter than what lies around it."""
LEVELS = range(50, 231, 10)
"""Shades of which one may part the page, shadow and all, from what it lies on."""
LEANING_MAX_DEG = 12.0
"""The angles of a page's outline, seen from a little aside, are right ones to so many degrees."""
OUTLINE_CROOKED = 0.015
"""An outline whose corners are off an upright rectangle by less than this part of its size needs no squaring."""
UNEVEN = 22.0
"""Paper whose shades differ by more is evened out."""
PAPER_SHADE = 235.0
SQUARED, EVENED = "the page's outline was found and squared", "uneven light was evened out"
SHADOW = 0.45
"""Paper in a shadow is at least so bright, by the brightest."""


@dataclass(frozen=True)
class Levelled:
    """A page as a scanner would have it, perhaps upside down."""

    sheet: Sheet
    slant: Slant
    quarters: int
    """Clockwise quarter turns made."""
    notes: tuple[str, ...]
    raw: Sheet | None = None
    """The image as it was given, where it was squared or evened out: for when that went wrong."""


def levelled(image: Image.Image) -> Levelled:
    """Square, even out, turn and level the page of an image. Blocking: 0.1 to 1 s."""
    sheet, notes = sheet_of(image), []
    outline = outline_of(sheet.grey)
    if outline is not None and (is_crooked(outline) or unevenness(_squared(sheet, outline).grey) > UNEVEN):
        sheet = _squared(sheet, outline)
        notes.append(SQUARED)
        outline = None
    if outline is None and unevenness(sheet.grey) > UNEVEN:
        sheet = sheet.with_pixels(_evened(sheet.grey))
        notes.append(EVENED)
    slant = slant_of(sheet.grey)
    sheet = sheet.turned(1 if slant.upended else 0)
    if abs(slant.degrees) >= LEVEL_DEG:
        sheet = sheet.rotated(-slant.degrees)
        notes.append(f"the lines were slanted by {slant.degrees:g}°")
    changed = any(note in notes for note in (SQUARED, EVENED))
    return Levelled(sheet, slant, int(slant.upended), tuple(notes), sheet_of(image) if changed else None)


def outline_of(grey: Grey) -> NDArray[Any] | None:
    """Return the corners of a bright page that lies on something darker, clockwise from its upper left, or None."""
    factor = OUTLINE_SIDE / max(grey.shape)
    if factor >= 1:
        return None
    small = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    smooth = cv2.medianBlur(cv2.morphologyEx(small, cv2.MORPH_CLOSE, numpy.ones((9, 9), numpy.uint8)), 9)
    found = [corners for level in LEVELS if (corners := _corners(smooth, level)) is not None]
    largest = max(found, key=cv2.contourArea, default=None)
    return None if largest is None else numpy.asarray(largest / factor, numpy.float32)


def _corners(smooth: Grey, level: int) -> NDArray[Any] | None:
    """Return the corners of the largest part brighter than a level, if it is a page."""
    _, bright = cv2.threshold(smooth, level, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(largest)
    corners = cv2.approxPolyDP(hull, 0.02 * cv2.arcLength(hull, True), True).reshape(-1, 2)
    if len(corners) != 4 or not _is_page(corners, smooth, cv2.contourArea(largest)):
        return None
    ordered = _from_upper_left(corners.astype(numpy.float32))
    square = len(numpy.unique(ordered, axis=0)) == 4 and _leaning(ordered) <= LEANING_MAX_DEG
    return ordered if square else None


def _leaning(corners: NDArray[Any]) -> float:
    """Return by how many degrees the angle of a corner is off a right one, at most."""
    after, before = numpy.roll(corners, -1, axis=0) - corners, numpy.roll(corners, 1, axis=0) - corners
    cosines = (after * before).sum(axis=1) / (numpy.linalg.norm(after, axis=1) * numpy.linalg.norm(before, axis=1))
    return float(numpy.abs(90 - numpy.degrees(numpy.arccos(cosines))).max())


def _is_page(corners: NDArray[Any], smooth: Grey, area: float) -> bool:
    """Whether four corners are those of a page: large, nearly filled, not the whole image, brighter than around."""
    inside = numpy.zeros_like(smooth)
    cv2.fillConvexPoly(inside, corners, 255)
    held = int((inside > 0).sum())
    edges = numpy.array([[0, 0], [smooth.shape[1], 0], [0, smooth.shape[0]], smooth.shape[::-1]])
    if numpy.abs(corners[:, None] - edges[None]).max(axis=2).min() < 0.02 * OUTLINE_SIDE:
        return False
    if held < OUTLINE_SHARE * smooth.size or held > 0.97 * smooth.size or area < 0.9 * held:
        return False
    around = cv2.bitwise_and(cv2.dilate(inside, numpy.ones((25, 25), numpy.uint8)), cv2.bitwise_not(inside))
    if not around.any():
        return False
    return float(smooth[inside > 0].mean()) - float(smooth[around > 0].mean()) >= OUTLINE_BRIGHTER


def _from_upper_left(corners: NDArray[Any]) -> NDArray[Any]:
    """Return the corners clockwise from the upper left one."""
    sums, differences = corners.sum(axis=1), corners[:, 0] - corners[:, 1]
    order = [sums.argmin(), differences.argmax(), sums.argmax(), differences.argmin()]
    return corners[order]


def is_crooked(corners: NDArray[Any]) -> bool:
    """Whether the corners are off an upright rectangle's: a screen's window is upright, a photographed page hardly."""
    x, y = corners[:, 0], corners[:, 1]
    size = max(numpy.ptp(x), numpy.ptp(y))
    off = max(abs(x[0] - x[3]), abs(x[1] - x[2]), abs(y[0] - y[1]), abs(y[3] - y[2]))
    return bool(off >= OUTLINE_CROOKED * size)


def _squared(sheet: Sheet, corners: NDArray[Any]) -> Sheet:
    """Return the page alone, seen from straight above."""
    sides = numpy.linalg.norm(corners - numpy.roll(corners, -1, axis=0), axis=1)
    width, height = round(float(max(sides[0], sides[2]))), round(float(max(sides[1], sides[3])))
    target = numpy.array([[0, 0], [width, 0], [width, height], [0, height]], numpy.float32)
    return sheet.warped(cv2.getPerspectiveTransform(corners, target), width, height)


def unevenness(grey: Grey) -> float:
    """Return by how many shades the paper differs between the brighter and the darker parts of a page."""
    paper = _paper(grey)
    return float(numpy.percentile(paper, 95) - numpy.percentile(paper, 5)) if paper.mean() > 100 else 0.0


def _paper(grey: Grey) -> Grey:
    """Return the page without its writing, small."""
    factor = min(1.0, 400 / max(grey.shape))
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, numpy.ones((15, 15), numpy.uint8))
    return numpy.asarray(cv2.medianBlur(closed, 15))


def _evened(grey: Grey) -> Grey:
    """Return the page divided by the shade of its paper; what is darker than a shadow is no paper."""
    small = _paper(grey)
    paper = numpy.maximum(small, numpy.uint8(SHADOW * float(numpy.percentile(small, 95))))
    paper = cv2.resize(paper, (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    return numpy.asarray(cv2.divide(grey, numpy.maximum(paper, 1), scale=PAPER_SHADE))
