"""Where two pictures of one size differ: how many pixels, in which places, drawn."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

REGIONS_MAX = 32
_CELLS = 96
"""The longest side is looked at in so many squares; differing squares that touch are one region."""
_CELL_PX = 8
_DRAWN_PX = 1600
_FADED = 0.6

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class Region:
    """A place where the pictures differ."""

    box: Box
    pixels: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two pictures of one size."""

    mask: Image.Image
    """White where they differ by more than the tolerance."""
    pixels: int
    share: float
    mean: float
    """Of the largest difference of each pixel's channels; 0 to 1."""
    equal: bool
    """Not one channel of one pixel differs."""
    regions: tuple[Region, ...]
    """The largest first."""


def differ(first: Image.Image, second: Image.Image, tolerance: int) -> Difference:
    """Compare two RGB images of one size; a pixel counts when a channel differs by more than ``tolerance`` of 255."""
    red, green, blue = ImageChops.difference(first, second).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    del red, green, blue
    counts = most.histogram()
    total = first.width * first.height
    mask = most.point([255 if value > tolerance else 0 for value in range(256)])
    pixels = sum(counts[tolerance + 1 :])
    return Difference(
        mask=mask,
        pixels=pixels,
        share=pixels / total,
        mean=sum(value * count for value, count in enumerate(counts)) / total / 255,
        equal=counts[0] == total,
        regions=tuple(sorted(_regions(mask), key=lambda region: -region.pixels)) if pixels else (),
    )


def _regions(mask: Image.Image) -> Iterator[Region]:
    cell = max(_CELL_PX, math.ceil(max(mask.size) / _CELLS))
    for left, top, right, bottom in _touching(_squares(mask, cell)):
        around = (left * cell, top * cell, min(right * cell, mask.width), min(bottom * cell, mask.height))
        part = mask.crop(around)
        tight = part.getbbox()
        if tight is not None:
            box = (around[0] + tight[0], around[1] + tight[1], around[0] + tight[2], around[1] + tight[3])
            yield Region(box, part.histogram()[255])


def _squares(mask: Image.Image, cell: int) -> NDArray[Any]:
    """Return which squares hold a white pixel, row by row."""
    pixels = numpy.asarray(mask)
    rows = numpy.maximum.reduceat(pixels, numpy.arange(0, mask.height, cell), axis=0)
    return numpy.maximum.reduceat(rows, numpy.arange(0, mask.width, cell), axis=1) > 0


def _touching(squares: NDArray[Any]) -> Iterator[Box]:
    """Yield the bounds of every group of squares that touch, corners included; right and bottom lie outside."""
    left = {(int(x), int(y)) for y, x in zip(*numpy.nonzero(squares), strict=True)}
    while left:
        edge = [left.pop()]
        group = list(edge)
        while edge:
            x, y = edge.pop()
            near = {(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge += near
            group += near
        xs, ys = [x for x, _ in group], [y for _, y in group]
        yield min(xs), min(ys), max(xs) + 1, max(ys) + 1


def drawn(first: Image.Image, difference: Difference) -> Image.Image:
    """Return the first picture faded to grey, what differs in red, and a frame around each region."""
    scale = min(1.0, _DRAWN_PX / max(first.size))
    size = (max(1, round(first.width * scale)), max(1, round(first.height * scale)))
    grey = first.resize(size, Image.Resampling.BOX).convert("L").point(lambda v: 255 - (255 - v) * (1 - _FADED))
    picture = grey.convert("RGB")
    picture.paste((220, 0, 0), (0, 0, *size), difference.mask.resize(size, Image.Resampling.BOX))
    pen = ImageDraw.Draw(picture)
    for region in difference.regions[:REGIONS_MAX]:
        left, top, right, bottom = (round(edge * scale) for edge in region.box)
        pen.rectangle((left - 3, top - 3, right + 2, bottom + 2), outline=(220, 0, 0), width=2)
    return picture
