"""Reading order: tables in rows, prose in columns, skewed pages."""

from concilium.workers.vision.layout import arrange
from concilium.workers.vision.lines import Line


def piece(text: str, x: int, y: int, width: int = 0, height: int = 20) -> Line:
    return Line(text, x, y, width or 10 * len(text), height, 0.9)


def texts(*pieces: Line) -> list[str]:
    return [line.text for line in arrange(pieces)]


def test_the_cells_of_a_table_are_read_row_by_row() -> None:
    rows = [("Description", "Qty", "Amount"), ("Rack server", "2", "2,498.00"), ("Cable", "24", "190.80")]
    cells = [piece(t, x, 50 * n) for n, row in enumerate(rows) for t, x in zip(row, (0, 400, 700), strict=True)]
    assert texts(*reversed(cells)) == [" ".join(row) for row in rows]


def test_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [f"left column says thing {n}" for n in range(5)]
    right = [f"right column says it {n}" for n in range(5)]
    pieces = [piece("A headline over both of the columns", 0, 0, 620)]
    pieces += [piece(t, 0, 50 + 30 * n, 280) for n, t in enumerate(left)]
    pieces += [piece(t, 340, 50 + 30 * n, 280) for n, t in enumerate(right)]
    pieces += [piece("A footer under both of the columns", 0, 250, 620)]
    assert texts(*pieces) == [pieces[0].text, *left, *right, pieces[-1].text]


def test_a_skewed_row_stays_a_row() -> None:
    assert texts(*(piece(f"c{n}", 150 * n, 6 * n) for n in range(6)), piece("next", 0, 40)) == [
        "c0 c1 c2 c3 c4 c5",
        "next",
    ]


def test_a_joined_row_covers_its_pieces() -> None:
    (row,) = arrange([piece("Total", 100, 10), piece("12.00", 300, 14, 60, 12)])
    assert (row.text, row.x, row.y, row.right, row.bottom) == ("Total 12.00", 100, 10, 360, 30)


def test_an_empty_page_has_no_lines() -> None:
    assert arrange([]) == []
