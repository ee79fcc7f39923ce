"""Puts pieces of text into reading order: rows from the top, and columns of prose one after the other."""

from collections.abc import Iterator, Sequence
from statistics import median

from concilium.workers.vision.lines import Line
from concilium.workers.vision.sheet import Box

PROSE_LINES = 3
"""A column of prose has at least this many lines; a table's column is told apart by its short cells."""
PROSE_WORDS = 3
PROSE_FILL = 0.6
"""Half of a prose column's lines fill at least this part of its width."""
SAME_ROW = 0.5
"""Pieces whose heights overlap by this part of the lower one stand in one row."""


def arrange(pieces: Sequence[Line]) -> list[Line]:
    """Return whole lines in reading order; the pieces of a row (a table's cells) become one line."""
    gutter = _gutter(pieces)
    if gutter is None:
        return _rows(pieces)
    lines: list[Line] = []
    for section in _sections(pieces, gutter):
        left = [p for p in section if p.right <= gutter]
        right = [p for p in section if p.x >= gutter]
        if _is_prose(left) and _is_prose(right):
            lines += _rows(left) + _rows(right)
        else:
            lines += _rows(section)
    return lines


def _gutter(pieces: Sequence[Line]) -> float | None:
    """Return where most pieces leave a gap from top to bottom, or None."""
    edges = sorted({p.right for p in pieces})
    best: tuple[int, float] | None = None
    for edge in edges:
        right = [p for p in pieces if p.x > edge]
        left = [p for p in pieces if p.right <= edge]
        if len(left) < PROSE_LINES or len(right) < PROSE_LINES:
            continue
        crossing = len(pieces) - len(left) - len(right)
        if crossing > len(pieces) / 3:
            continue
        if best is None or crossing < best[0]:
            best = (crossing, (edge + min(p.x for p in right)) / 2)
    return best[1] if best else None


def _sections(pieces: Sequence[Line], gutter: float) -> Iterator[list[Line]]:
    """Yield the pieces between those that cross the gutter, and each of those alone, from the top."""
    section: list[Line] = []
    for piece in sorted(pieces, key=lambda p: p.middle):
        if piece.x < gutter < piece.right:
            if section:
                yield section
            yield [piece]
            section = []
        else:
            section.append(piece)
    if section:
        yield section


def _is_prose(column: Sequence[Line]) -> bool:
    if len(column) < PROSE_LINES:
        return False
    width = max(p.right for p in column) - min(p.x for p in column)
    return (
        median(len(p.text.split()) for p in column) >= PROSE_WORDS
        and median(p.width for p in column) >= PROSE_FILL * width
    )


def _rows(pieces: Sequence[Line]) -> list[Line]:
    """Return one line a row, from the top. A row is followed from piece to piece, so a skewed page is no hindrance."""
    rows: list[list[Line]] = []
    for piece in sorted(pieces, key=lambda p: p.x):
        row = max(rows, key=lambda r: _overlap(r[-1], piece), default=None)
        if row is not None and row[-1].right <= piece.x + piece.height and _overlap(row[-1], piece) >= SAME_ROW:
            row.append(piece)
        else:
            rows.append([piece])
    rows.sort(key=lambda r: r[0].middle)
    return [_joined(row) for row in rows]


def _overlap(a: Line, b: Line) -> float:
    shared = min(a.bottom, b.bottom) - max(a.y, b.y)
    return shared / max(1, min(a.height, b.height))


def _joined(row: Sequence[Line]) -> Line:
    if len(row) == 1:
        return row[0]
    x, y = min(p.x for p in row), min(p.y for p in row)
    letters = sum(len(p.text) for p in row)
    confidence = sum(p.confidence * len(p.text) for p in row) / max(1, letters)
    width, height = max(p.right for p in row) - x, max(p.bottom for p in row) - y
    words = tuple(word for p in row for word in p.words)
    return Line(" ".join(p.text for p in row), x, y, width, height, confidence, words=words)


def with_block(lines: Sequence[Line], block: Sequence[Line], box: Box) -> list[Line]:
    """Return lines in reading order with a block of others, which fill a box, in its place among them."""
    left, top, width, height = box
    beside = [n for n, line in enumerate(lines) if line.right > left and line.x < left + width]
    below = next((n for n in beside if lines[n].middle >= top + height), None)
    above = [n for n in beside if lines[n].middle < top]
    place = below if below is not None else above[-1] + 1 if above else len(lines)
    return [*lines[:place], *block, *lines[place:]]
