"""A page made ready for a reader, with the way back to the image it was made from."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy
from numpy.typing import NDArray

from concilium.workers.vision.lines import Line

Grey = NDArray[Any]
"""Shades from 0 (black) to 255, rows by columns, of `numpy.uint8`; OpenCV's own types say less."""
Matrix = NDArray[Any]
Box = tuple[int, int, int, int]
"""x, y, width, height."""


@dataclass(frozen=True)
class Sheet:
    """Grey pixels, rows by columns, and the projective matrix from a place in the given image to its place here."""

    grey: Grey
    matrix: Matrix
    size: tuple[int, int]
    """Width and height of the given image."""

    @property
    def width(self) -> int:
        return int(self.grey.shape[1])

    @property
    def height(self) -> int:
        return int(self.grey.shape[0])

    def with_pixels(self, grey: Grey) -> "Sheet":
        """Return the sheet with other pixels in the same places."""
        return replace(self, grey=grey)

    def warped(self, matrix: Matrix, width: int, height: int) -> "Sheet":
        """Return the sheet seen through a projective matrix; what lies outside becomes paper."""
        paper = int(numpy.median(self.grey[:: max(1, self.height // 200), :: max(1, self.width // 200)]))
        moved = cv2.warpPerspective(
            self.grey, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=paper
        )
        return replace(self, grey=moved, matrix=matrix @ self.matrix)

    def turned(self, quarters: int) -> "Sheet":
        """Return the sheet turned clockwise by quarters of a circle."""
        quarters %= 4
        if not quarters:
            return self
        wide, high = self.width, self.height
        moves: dict[int, list[list[float]]] = {
            1: [[0, -1, high - 1], [1, 0, 0], [0, 0, 1]],
            2: [[-1, 0, wide - 1], [0, -1, high - 1], [0, 0, 1]],
            3: [[0, 1, 0], [-1, 0, wide - 1], [0, 0, 1]],
        }
        grey = numpy.ascontiguousarray(numpy.rot90(self.grey, -quarters))
        return replace(self, grey=grey, matrix=numpy.array(moves[quarters], float) @ self.matrix)

    def scaled(self, factor: float) -> "Sheet":
        """Return the sheet ``factor`` times as large."""
        size = (max(1, round(self.width * factor)), max(1, round(self.height * factor)))
        if size == (self.width, self.height):
            return self
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        shrink = numpy.diag([size[0] / self.width, size[1] / self.height, 1.0])
        return replace(self, grey=cv2.resize(self.grey, size, interpolation=way), matrix=shrink @ self.matrix)

    def rotated(self, degrees: float) -> "Sheet":
        """Return the sheet turned clockwise about its middle, large enough to hold all of it."""
        turn = numpy.vstack([cv2.getRotationMatrix2D((self.width / 2, self.height / 2), -degrees, 1.0), [0, 0, 1]])
        cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
        width = round(self.width * cosine + self.height * sine)
        height = round(self.width * sine + self.height * cosine)
        turn[0, 2] += (width - self.width) / 2
        turn[1, 2] += (height - self.height) / 2
        return self.warped(turn, width, height)

    def given_box(self, x: float, y: float, width: float, height: float) -> Box:
        """Return the upright box, in the given image, around a box of this sheet."""
        corners = numpy.array([[[x, y], [x + width, y], [x + width, y + height], [x, y + height]]], float)
        back = cv2.perspectiveTransform(corners, numpy.linalg.inv(self.matrix))[0]
        wide, high = self.size
        left, right = numpy.clip([back[:, 0].min(), back[:, 0].max()], 0, wide)
        top, bottom = numpy.clip([back[:, 1].min(), back[:, 1].max()], 0, high)
        return round(left), round(top), round(right) - round(left), round(bottom) - round(top)

    def given_line(self, line: Line) -> Line:
        """Return a line of this sheet with its boxes in the given image."""
        words = tuple(w.at(*self.given_box(w.x, w.y, w.width, w.height)) for w in line.words)
        x, y, width, height = self.given_box(line.x, line.y, line.width, line.height)
        return replace(line, x=x, y=y, width=width, height=height, words=words)


def sheet_of(image: Any) -> Sheet:
    """Return a Pillow image as a sheet."""
    grey = numpy.asarray(image.convert("L"))
    return Sheet(grey, numpy.eye(3), (image.width, image.height))
