"""The order in which lines on a page are read: columns from left to right, each from its top down.

A page whose lines leave a gutter free is cut there, between the lines that cross it (headings, footers), and each part
is looked at again. Within a part without a gutter, lines are rows; pieces of one row are joined by tabs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from concilium.workers.document import limits

HYPHEN = "\x02"
"""What pdfium writes for a hyphen that ends a line within a word."""
_BINS = 200
_DEPTH = 6
_LINES_MIN = 3
"""Lines that a column has at least."""
_CHARS_MIN = 12
"""Characters that a column's usual line has at least: shorter ones are a table's."""
_CROSSING_MAX = 0.34
"""The share of lines that may cross a gutter."""


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of text on one line; lengths in points from the page's upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left


def page_text(lines: Sequence[Line]) -> str:
    """Return the text of a page in reading order; paragraphs that stand apart have an empty line between them."""
    upright = [line for line in lines if line.height < 3 * max(line.width, 1) or len(line.text) < 4]
    if len(lines) > limits.LAYOUT_LINES or 2 * len(upright) < len(lines):
        return "\n".join(line.text for line in lines).replace(f"{HYPHEN}\n", "")
    return "\n\n".join(_block(block) for block in _blocks(list(lines), _DEPTH)).replace(f"{HYPHEN}\n", "")


def _blocks(lines: list[Line], depth: int) -> Iterator[list[Line]]:
    """Yield the parts of a page in reading order."""
    gutter = _gutter(lines) if depth else None
    if gutter is None:
        if lines:
            yield lines
        return
    left: list[Line] = []
    right: list[Line] = []
    crossing: list[Line] = []
    for line in sorted(lines, key=lambda line: line.top):
        side = left if line.right <= gutter else right if line.left >= gutter else crossing
        if side is crossing:
            yield from _blocks(left, depth - 1)
            yield from _blocks(right, depth - 1)
            left, right = [], []
        elif crossing:
            yield crossing
            crossing = []
        (side if side is not crossing else crossing).append(line)
    if crossing:
        yield crossing
    yield from _blocks(left, depth - 1)
    yield from _blocks(right, depth - 1)


def _gutter(lines: Sequence[Line]) -> float | None:
    """Return where a vertical line separates two columns of prose, None when nothing does."""
    if len(lines) < 2 * _LINES_MIN:
        return None
    start, end = min(line.left for line in lines), max(line.right for line in lines)
    step = (end - start) / _BINS
    if step <= 0:
        return None
    crossed = _crossed(lines, start, step)
    inner = range(_BINS // 8, _BINS - _BINS // 8)
    fewest = min(crossed[i] for i in inner)
    if fewest > _CROSSING_MAX * len(lines):
        return None
    for middle in _runs([i for i in inner if crossed[i] == fewest]):
        place = start + (middle + 0.5) * step
        if _separates(lines, place, end - start):
            return place
    return None


def _crossed(lines: Sequence[Line], start: float, step: float) -> list[int]:
    """Return how many lines cross each of the bins."""
    changes = [0] * (_BINS + 1)
    for line in lines:
        first = min(_BINS - 1, int((line.left - start) / step))
        last = min(_BINS - 1, int((line.right - start) / step))
        changes[first] += 1
        changes[last + 1] -= 1
    crossed, count = [], 0
    for change in changes[:_BINS]:
        count += change
        crossed.append(count)
    return crossed


def _runs(bins: Sequence[int]) -> list[int]:
    """Return the middles of runs of neighbours, the longest first."""
    runs: list[list[int]] = []
    for number in bins:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [run[len(run) // 2] for run in sorted(runs, key=len, reverse=True)[:8]]


def _separates(lines: Sequence[Line], place: float, width: float) -> bool:
    """Whether both sides of a place are prose, side by side."""
    sides = [[line for line in lines if line.right <= place], [line for line in lines if line.left >= place]]
    for side in sides:
        if len(side) < _LINES_MIN or median(len(line.text) for line in side) < _CHARS_MIN:
            return False
        if median(line.width for line in side) < 0.15 * width:
            return False
    tops = [min(line.top for line in side) for side in sides]
    bottoms = [max(line.bottom for line in side) for side in sides]
    shared = min(bottoms) - max(tops)
    return shared > 0.4 * min(bottoms[0] - tops[0], bottoms[1] - tops[1])


def _block(lines: Sequence[Line]) -> str:
    """Return the rows of a part as text."""
    pieces: list[str] = []
    above: Sequence[Line] = ()
    for row in _rows(lines):
        if above:
            pieces.append("\n\n" if _stands_apart(above, row) else "\n")
        pieces.append("\t".join(line.text for line in sorted(row, key=lambda line: line.left)))
        above = row
    return "".join(pieces)


def _stands_apart(above: Sequence[Line], row: Sequence[Line]) -> bool:
    """Whether a row begins a paragraph: it keeps a distance, and is not the next row of a table."""
    if len(above) > 1 and len(row) > 1:
        return False
    top, bottom = min(line.top for line in row), max(line.bottom for line in row)
    return top - max(line.bottom for line in above) > 0.7 * (bottom - top)


def _rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Return lines that stand beside each other, rows from the top down."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.top + line.bottom) / 2):
        last = rows[-1][0] if rows else None
        if last is not None:
            shared = min(last.bottom, line.bottom) - max(last.top, line.top)
            if shared > 0.5 * min(last.height, line.height) and not _overlaps(rows[-1], line):
                rows[-1].append(line)
                continue
        rows.append([line])
    return rows


def _overlaps(row: Sequence[Line], line: Line) -> bool:
    """Whether a line stands over another of a row: then it is no neighbour."""
    return any(min(other.right, line.right) - max(other.left, line.left) > 0.3 * line.width for other in row)
