"""Tables without ruled lines: rows whose words stand in the same columns. Only where there is no doubt."""

import re
from collections.abc import Sequence
from statistics import median

from concilium.workers.vision.lines import Line, Word, line_of
from concilium.workers.vision.tables import Table

ROWS_MIN = 3
GAP = 1.2
"""Words farther apart than this, in heights of their row, stand in different cells."""
GUTTER = 0.8
"""Columns stand at least so far apart, in heights of a row."""
CELL_WORDS_MAX = 6
"""Cells of a table hold fewer words than the lines of a newspaper's columns."""
NEXT_ROW = 3.5
"""The next row's middle is at most so many heights below."""
NUMERIC = 0.6
"""Of two columns, one must be numbers to this part."""
_NUMBER = re.compile(r"^[^\w]*\d[\d\s.,:/%€$£₽()+-]*\D{0,3}$")

Cells = list[list[Word]]


def tables_in(lines: Sequence[Line]) -> tuple[list[tuple[Table, list[Line]]], list[Line]]:
    """Return the tables with a line for each of their rows, and the lines that stand in none."""
    rows = _rows([word for line in lines for word in line.words])
    found: list[tuple[Table, list[Line]]] = []
    taken: set[int] = set()
    for run in _runs(rows):
        table = _table(run)
        if table is not None:
            found.append((table, [line_of([word for cell in cells for word in cell]) for cells in run]))
            taken.update(id(word) for cells in run for cell in cells for word in cell)
    rest = []
    for line in lines:
        left = [word for word in line.words if id(word) not in taken]
        if len(left) == len(line.words):
            rest.append(line)
        elif left:
            rest.append(line_of(left))
    return found, rest


def _rows(words: Sequence[Word]) -> list[Cells]:
    """Return the page's rows from the top, each a list of cells: words parted by wide gaps."""
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda w: w.middle):
        near = rows[-1] if rows else []
        if near and abs(word.middle - median(w.middle for w in near)) < 0.5 * max(word.height, near[0].height):
            near.append(word)
        else:
            rows.append([word])
    return [_cells(sorted(row, key=lambda w: w.x)) for row in rows]


def _cells(row: Sequence[Word]) -> Cells:
    height = median(word.height for word in row)
    cells: Cells = [[row[0]]]
    for word in row[1:]:
        if word.x - cells[-1][-1].right > GAP * height:
            cells.append([word])
        else:
            cells[-1].append(word)
    return cells


def _runs(rows: Sequence[Cells]) -> list[list[Cells]]:
    """Return the runs of rows with several cells, one below the other."""
    runs: list[list[Cells]] = [[]]
    for row in rows:
        if len(row) < 2:
            runs.append([])
            continue
        last = runs[-1][-1] if runs[-1] else None
        if last is not None and _middle(row) - _middle(last) > NEXT_ROW * _height(row):
            runs.append([])
        runs[-1].append(row)
    return [run for run in runs if len(run) >= ROWS_MIN]


def _middle(row: Cells) -> float:
    return median(word.middle for cell in row for word in cell)


def _height(row: Cells) -> float:
    return median(word.height for cell in row for word in cell)


def _table(run: Sequence[Cells]) -> Table | None:
    """Return the run as a table, or None when its cells do not stand in clear columns."""
    spans = _columns(run)
    if len(spans) < 2:
        return None
    rows: list[tuple[str, ...]] = []
    for row in run:
        texts = [""] * len(spans)
        for cell in row:
            number = next(n for n, (left, right) in enumerate(spans) if left <= cell[0].x <= right)
            if texts[number]:
                return None
            texts[number] = " ".join(word.text for word in cell)
        rows.append(tuple(texts))
    if not _is_sure(rows):
        return None
    words = [word for row in run for cell in row for word in cell]
    x, y = min(w.x for w in words), min(w.y for w in words)
    return Table(tuple(rows), (x, y, max(w.right for w in words) - x, max(w.bottom for w in words) - y))


def _columns(run: Sequence[Cells]) -> list[tuple[int, int]]:
    """Return the columns' left and right ends: what cells of all rows cover, one over the other."""
    gutter = GUTTER * median(_height(row) for row in run)
    spans: list[tuple[int, int]] = []
    for left, right in sorted((cell[0].x, cell[-1].right) for row in run for cell in row):
        if spans and left - spans[-1][1] < gutter:
            spans[-1] = (spans[-1][0], max(spans[-1][1], right))
        else:
            spans.append((left, right))
    return spans


def _is_sure(rows: Sequence[tuple[str, ...]]) -> bool:
    """Whether rows are a table's: short cells, mostly filled, and of two columns one of numbers."""
    columns = list(zip(*rows, strict=True))
    filled = [[text for text in column if text] for column in columns]
    if any(len(column) < max(2, len(rows) / 2) for column in filled):
        return False
    if any(median(len(text.split()) for text in column) > CELL_WORDS_MAX for column in filled):
        return False
    numeric = [sum(bool(_NUMBER.match(text)) for text in column) / len(column) for column in filled]
    return len(columns) > 2 or max(numeric) >= NUMERIC
