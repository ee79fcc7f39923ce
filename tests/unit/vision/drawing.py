"""Pages drawn for the tests: text, tables, and photographs of pages on a table."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy
import pytest
from PIL import Image, ImageDraw, ImageFont

DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
needs_dejavu = pytest.mark.skipif(not DEJAVU.is_file(), reason="apt-get install fonts-dejavu-core")


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def page(*lines: str, size: int = 28) -> Image.Image:
    face = ImageFont.truetype(str(DEJAVU), size)
    image = Image.new("RGB", (round(max(face.getlength(t) for t in lines)) + 80, size * 2 * len(lines) + 60), "white")
    for number, text in enumerate(lines):
        ImageDraw.Draw(image).text((40, 30 + number * size * 2), text, "black", face)
    return image


def table(rows: Sequence[Sequence[str]], xs: Sequence[int], *, ruled: bool, step: int = 60) -> Image.Image:
    """A table with its columns at ``xs`` (the last one its right edge), between a line above and one below."""
    image = Image.new("RGB", (xs[-1] + 40, 200 + step * len(rows)), "white")
    pen, face = ImageDraw.Draw(image), ImageFont.truetype(str(DEJAVU), 24)
    pen.text((xs[0], 30), "This line stands above the table", "black", face)
    bottom = 100 + step * len(rows)
    pen.text((xs[0], bottom + 30), "This line stands below the table", "black", face)
    for number, row in enumerate(rows):
        for x, text in zip(xs, row, strict=False):
            pen.text((x + 12, 100 + number * step + 14), text, "black", face)
    if ruled:
        for number in range(len(rows) + 1):
            pen.line((xs[0], 100 + number * step, xs[-1], 100 + number * step), "black", 2)
        for x in xs:
            pen.line((x, 100, x, bottom), "black", 2)
    return image


def photographed(paper: Image.Image, corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> Image.Image:
    """Paper whose corners (clockwise from the upper left) lie at these places of a photograph of a dark table."""
    source = numpy.array([[0, 0], [paper.width, 0], [paper.width, paper.height], [0, paper.height]], numpy.float32)
    matrix = cv2.getPerspectiveTransform(source, numpy.array(corners, numpy.float32))
    scene = numpy.full((size[1], size[0], 3), 70, numpy.uint8)
    cv2.warpPerspective(numpy.asarray(paper), matrix, size, dst=scene, borderMode=cv2.BORDER_TRANSPARENT)
    return Image.fromarray(scene)


def shaded(image: Image.Image) -> Image.Image:
    """The image under a lamp at its left and in a soft shadow at its right."""
    across = numpy.linspace(0, 1, image.width)
    light = 1 - 0.5 / (1 + numpy.exp(-(across - 0.55) * 14))
    return Image.fromarray((numpy.asarray(image) * light[None, :, None]).astype(numpy.uint8))
