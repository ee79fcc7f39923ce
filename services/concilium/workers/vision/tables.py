"""Tables with ruled lines: found by their lines, read cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy

from concilium.contracts.base import JSON
from concilium.workers.vision.lines import Line, Word, line_of
from concilium.workers.vision.sheet import Box, Grey, Sheet

RULE_PX = 40
"""A stroke this long, in pixels, and straight, is a ruled line."""
RULE_PART = 0.2
"""And it is so long a part of the table's side."""
SAME_RULE_PX = 8
"""Rules nearer to each other are one, drawn double or a little slanted."""
CELLS_MAX = 4000
"""A finer grid is a pattern."""
DRAWN = 0.5
"""A cell's side with a line along this part of it is closed."""


@dataclass(frozen=True, slots=True)
class Table:
    """What stands in a table, and its box on the page."""

    rows: tuple[tuple[str, ...], ...]
    box: Box

    def as_json(self) -> dict[str, JSON]:
        """Return the table as every skill gives tables out."""
        return {"rows": [list(row) for row in self.rows], "box": list(self.box)}


@dataclass(frozen=True)
class Grid:
    """A ruled table's lines, in pixels of the sheet."""

    xs: tuple[int, ...]
    ys: tuple[int, ...]
    owner: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """For each cell (row, column) the upper left one of those it is merged with."""

    @property
    def box(self) -> Box:
        return self.xs[0], self.ys[0], self.xs[-1] - self.xs[0], self.ys[-1] - self.ys[0]

    def cell_of(self, word: Word) -> tuple[int, int] | None:
        """Return the cell in which a word's middle lies."""
        column = _between(self.xs, word.x + word.width / 2)
        row = _between(self.ys, word.middle)
        return None if row is None or column is None else self.owner[row, column]

    def bounds(self, row: int, column: int) -> tuple[slice, slice]:
        """Return where the inside of a cell lies, as rows and columns of pixels."""
        return (
            slice(self.ys[row] + SAME_RULE_PX // 2, self.ys[row + 1] - SAME_RULE_PX // 2),
            slice(self.xs[column] + SAME_RULE_PX // 2, self.xs[column + 1] - SAME_RULE_PX // 2),
        )


def ruled(sheet: Sheet) -> tuple[Sheet, list[Grid]]:
    """Return the page without the lines of its tables, which readers take for letters, and the tables' grids."""
    ink = cv2.adaptiveThreshold(sheet.grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 31, 12)
    across = _strokes(ink, (RULE_PX, 1), (1, 3))
    down = _strokes(ink, (1, RULE_PX), (3, 1))
    both = cv2.dilate(cv2.bitwise_or(across, down), numpy.ones((5, 5), numpy.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(both)
    grey, grids = sheet.grey, []
    for label in range(1, count):
        x, y, width, height = (int(v) for v in stats[label, :4])
        if width < 2 * RULE_PX or height < RULE_PX:
            continue
        part = slice(y, y + height), slice(x, x + width)
        mine = labels[part] == label
        grid = _grid(numpy.where(mine, across[part], 0), numpy.where(mine, down[part], 0), x, y)
        if grid is not None:
            if grey is sheet.grey:
                grey = grey.copy()
            grey[part][mine] = int(numpy.median(grey[part]))
            grids.append(grid)
    return sheet.with_pixels(grey), sorted(grids, key=lambda g: (g.ys[0], g.xs[0]))


def _strokes(ink: Grey, length: tuple[int, int], thick: tuple[int, int]) -> Grey:
    """Return the straight strokes of at least a length, given as width and height."""
    wide = cv2.dilate(ink, numpy.ones(thick[::-1], numpy.uint8))
    return numpy.asarray(cv2.morphologyEx(wide, cv2.MORPH_OPEN, numpy.ones(length[::-1], numpy.uint8)))


def _grid(across: Grey, down: Grey, x: int, y: int) -> Grid | None:
    """Return the grid of connected lines; None unless it has two rows and two columns."""
    height, width = across.shape
    ys = _rules(across.T, width, height)
    xs = _rules(down, height, width)
    if len(xs) < 3 or len(ys) < 3 or (len(xs) - 1) * (len(ys) - 1) > CELLS_MAX:
        return None
    owner = _merged(across, down, xs, ys)
    if len({cell[1] for cell in owner.values()}) < 2 or len({cell[0] for cell in owner.values()}) < 2:
        return None
    return Grid(tuple(x + v for v in xs), tuple(y + v for v in ys), owner)


def _rules(strokes: Grey, along: int, side: int) -> list[int]:
    """Return the places of the lines down an image ``side`` wide, its own edges among them."""
    sums = (strokes > 0).sum(axis=0)
    # A line that slants by a few pixels is spread over as many columns.
    spread = numpy.convolve(sums, numpy.ones(SAME_RULE_PX), "same")
    dense = numpy.flatnonzero((spread >= RULE_PART * along) & (sums > 0))
    places: list[list[int]] = []
    for place in dense.tolist():
        if places and place - places[-1][-1] <= SAME_RULE_PX:
            places[-1].append(place)
        else:
            places.append([place])
    found = [round(float(numpy.average(group, weights=sums[group]))) for group in places]
    first = [] if found and found[0] <= 2 * SAME_RULE_PX else [0]
    last = [] if found and found[-1] >= side - 2 * SAME_RULE_PX else [side - 1]
    return [*first, *found, *last]


def _merged(across: Grey, down: Grey, xs: Sequence[int], ys: Sequence[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return for each cell the first of those with no line between; a cell without is its own."""
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for row, (top, bottom) in enumerate(pairwise(ys)):
        for column, (left, right) in enumerate(pairwise(xs)):
            cell = (row, column)
            owner[cell] = cell
            if column and not _drawn(down[top:bottom, _near(left)].any(axis=1)):
                owner[cell] = owner[row, column - 1]
            elif row and not _drawn(across[_near(top), left:right].any(axis=0)):
                owner[cell] = owner[row - 1, column]
    return owner


def _near(place: int) -> slice:
    return slice(max(0, place - SAME_RULE_PX), place + SAME_RULE_PX + 1)


def _drawn(marks: Any) -> bool:
    return bool(marks.mean() >= DRAWN) if marks.size else True


def _between(places: Sequence[int], value: float) -> int | None:
    for number, (low, high) in enumerate(pairwise(places)):
        if low <= value < high:
            return number
    return None


def unread_cells(grid: Grid, grey: Grey, words: Sequence[Word]) -> set[tuple[int, int]]:
    """Return the cells with ink of a letter's size in which no word was read."""
    taken = {grid.cell_of(word) for word in words}
    found = set()
    for (row, column), owner in grid.owner.items():
        inside = grey[grid.bounds(row, column)]
        if owner not in taken and inside.size and _has_letters(inside):
            found.add(owner)
    return found


def _has_letters(inside: Grey) -> bool:
    paper = float(numpy.median(inside))
    marks = (numpy.abs(inside.astype(numpy.float32) - paper) > 80).astype(numpy.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(marks)
    return bool((stats[1:, cv2.CC_STAT_HEIGHT] >= 8).any())


def fill(grid: Grid, lines: Sequence[Line]) -> tuple[Table, list[Line], list[Line]]:
    """Put words into a grid.

    Returns:
        The table, a line for each of its rows, and the lines (or what is left of them) outside.
    """
    cells: dict[tuple[int, int], list[Word]] = {}
    outside: list[Line] = []
    for line in lines:
        rest: list[Word] = []
        for word in line.words:
            cell = grid.cell_of(word)
            if cell is None:
                rest.append(word)
            elif word.text.strip("|_—-[]") or word.text in ("-", "—"):
                cells.setdefault(cell, []).append(word)
        if len(rest) == len(line.words):
            outside.append(line)
        elif rest:
            outside.append(line_of(rest))
    ordered = {cell: in_order(words) for cell, words in cells.items()}
    count = len(grid.xs) - 1
    rows, told = [], []
    for row in range(len(grid.ys) - 1):
        found = [ordered.get((row, column), []) for column in range(count)]
        rows.append(tuple(" ".join(word.text for word in words) for words in found))
        if words := [word for part in found for word in part]:
            told.append(line_of(words))
    return Table(tuple(rows), grid.box), told, outside


def in_order(words: Sequence[Word]) -> list[Word]:
    """Return words row by row, each from the left."""
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda w: w.middle):
        if rows and abs(word.middle - rows[-1][0].middle) < 0.6 * max(word.height, rows[-1][0].height):
            rows[-1].append(word)
        else:
            rows.append([word])
    return [word for row in rows for word in sorted(row, key=lambda w: w.x)]
