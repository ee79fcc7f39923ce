"""Tables and their text, bounded."""

from collections.abc import Iterable, Sequence

from concilium.workers.document import limits
from concilium.workers.document.found import Table
from concilium.workers.document.text import clean


class Rows:
    """Rows as they are read, with a bound on all of them together; what is beyond it is counted, not kept."""

    def __init__(self) -> None:
        self.kept: list[list[str]] = []
        self.left_out = 0
        self._cells = 0
        self._characters = 0

    @property
    def full(self) -> bool:
        """Nothing more is kept."""
        return self.left_out > 0

    def add(self, cells: Iterable[str]) -> None:
        """Keep a row, or count it."""
        row = [clean(cell)[: limits.CELL_CHARS] for cell, _ in zip(cells, range(limits.COLUMNS), strict=False)]
        while row and not row[-1]:
            row.pop()
        self._cells += max(1, len(row))
        self._characters += sum(len(cell) for cell in row)
        if self.full or self._cells > limits.TABLE_CELLS or self._characters > limits.PAGE_CHARS:
            self.left_out += 1
        else:
            self.kept.append(row)

    def table(self, page: int | None = None, title: str | None = None) -> Table | None:
        """Return the rows as a table without empty rows around it, None when there is nothing in it."""
        return table(self.kept, page=page, title=title)


def table(
    rows: Sequence[Sequence[str]],
    *,
    page: int | None = None,
    title: str | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> Table | None:
    """Return a table with rows of equal length and without empty ones around it; None when nothing is in it."""
    first = next((i for i, row in enumerate(rows) if any(row)), None)
    if first is None:
        return None
    last = max(i for i, row in enumerate(rows) if any(row))
    used = rows[first : last + 1]
    width = max(len(row) for row in used)
    # One cell far to the right must not fill millions of others.
    if width * len(used) > limits.TABLE_CELLS:
        return Table(rows=[list(row) for row in used], page=page, title=title, box=box)
    return Table(rows=[[*row, *[""] * (width - len(row))] for row in used], page=page, title=title, box=box)


def as_text(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines with tabs between the cells."""
    return "\n".join("\t".join(" ".join(cell.split()) for cell in row).rstrip() for row in rows)
