"""Tables come out as rows of cells, ruled or not, and prose in columns does not."""

import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext
from concilium.workers.vision import skills
from concilium.workers.vision.columns import tables_in
from concilium.workers.vision.lines import Line, Word, line_of
from concilium.workers.vision.sheet import sheet_of
from concilium.workers.vision.tables import fill, ruled

from .drawing import needs_dejavu, page, png, table

SHA = "0" * 64
ROWS = (("Item", "Qty", "Price"), ("Rack server", "2", "1,249.00"), ("Cable", "24", "7.95"), ("Fan", "8", "14.00"))
XS = (40, 420, 560, 800)
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="apt-get install tesseract-ocr")
ABOVE, BELOW = "This line stands above the table", "This line stands below the table"


async def read(path: Path, image: Image.Image) -> JSON:
    data = png(image)
    ref = {"sha256": SHA, "name": "a.png", "media_type": "image/png", "size": len(data)}
    context = SkillContext("t.s.1", {SHA: data}, {}, path, deadline_at=time.monotonic() + 60)
    return (await skills["vision.ocr"](context, {"image": ref})).output


@needs_tesseract
@needs_dejavu
@pytest.mark.parametrize(("lines", "degrees"), [(True, 0), (True, 3), (False, 0)])
async def test_a_table_is_read_as_rows_of_cells(tmp_path: Path, lines: bool, degrees: int) -> None:
    drawn = table(ROWS, XS, ruled=lines).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    output = await read(tmp_path, drawn)
    (found,) = output["tables"]
    assert found["rows"] == [list(row) for row in ROWS]
    assert found["page"] == 0
    assert output["text"].splitlines() == [ABOVE, *(" ".join(row) for row in ROWS), BELOW]


@needs_tesseract
@needs_dejavu
async def test_the_box_of_a_table_is_around_its_cells(tmp_path: Path) -> None:
    (found,) = (await read(tmp_path, table(ROWS, XS, ruled=True)))["tables"]
    assert found["box"] == pytest.approx([40, 100, 760, 240], abs=6)


@needs_tesseract
@needs_dejavu
async def test_a_page_of_prose_has_no_tables(tmp_path: Path) -> None:
    assert (await read(tmp_path, page("The harbour was quiet", "and the boats lay still", "until noon")))[
        "tables"
    ] == []


def cell(text: str, x: int, y: int) -> Word:
    return Word(text, x, y, 12 * len(text), 20, 0.9)


def row(y: int, *cells: tuple[str, int]) -> Line:
    words = []
    for text, left in cells:
        x = left
        for word in text.split():
            words.append(cell(word, x, y))
            x += 12 * len(word) + 8
    return line_of(words)


def test_rows_of_short_cells_in_columns_are_a_table() -> None:
    lines = [row(40 * n, ("Name", 0), (str(n), 300), (f"{n}.50", 420)) for n in range(4)]
    ((found, told),), rest = tables_in([*lines, row(400, ("and a line of prose below", 0))])
    assert found.rows == tuple(("Name", str(n), f"{n}.50") for n in range(4))
    assert [line.text for line in told] == [f"Name {n} {n}.50" for n in range(4)]
    assert [line.text for line in rest] == ["and a line of prose below"]


def test_an_empty_cell_keeps_its_place() -> None:
    lines = [row(0, ("Name", 0), ("12", 300), ("1.50", 420)), row(40, ("Total", 0), ("3.00", 420))]
    lines.append(row(80, ("More", 0), ("7", 300), ("2.00", 420)))
    ((found, _),), _ = tables_in(lines)
    assert found.rows[1] == ("Total", "", "3.00")


def test_newspaper_columns_are_no_table() -> None:
    lines = [row(40 * n, ("one two three four five six", 0), ("and so it goes on and on", 500)) for n in range(6)]
    assert tables_in(lines) == ([], lines)


def test_two_columns_of_words_are_not_surely_a_table() -> None:
    lines = [row(40 * n, ("Name here", 0), ("another word", 400)) for n in range(5)]
    assert tables_in(lines)[0] == []


def test_columns_that_do_not_line_up_are_no_table() -> None:
    lines = [row(40 * n, ("Name", 0), ("12", 100 + 130 * n), ("1.50", 300 + 110 * n)) for n in range(4)]
    assert tables_in(lines)[0] == []


@needs_dejavu
def test_the_lines_of_a_table_are_taken_off_the_page_and_its_grid_is_kept() -> None:
    sheet, (grid,) = ruled(sheet_of(table(ROWS, XS, ruled=True)))
    assert [len(grid.xs), len(grid.ys)] == [4, 5]
    assert sheet.grey[100:340, 40].min() > 200
    assert sheet.grey[220, 40:800].min() > 200


def test_cells_without_a_line_between_are_one() -> None:
    image = Image.new("L", (700, 400), 255)
    for x in (50, 250, 450, 650):
        image.paste(0, (x, 50, x + 3, 350))
    for y in (50, 150, 250, 350):
        image.paste(0, (50, y, 653, y + 3))
    image.paste(255, (240, 154, 260, 249))  # between the first two cells of the second row
    _, (grid,) = ruled(sheet_of(image.convert("RGB")))
    assert grid.owner[1, 1] == (1, 0)
    assert grid.owner[2, 1] == (2, 1)
    found, told, outside = fill(grid, [line_of([cell("merged", 300, 190), cell("alone", 500, 190)])])
    assert found.rows == (("", "", ""), ("merged", "", "alone"), ("", "", ""))
    assert ([line.text for line in told], outside) == (["merged alone"], [])


@pytest.mark.parametrize("kind", ["box", "underline", "blank"])
def test_a_single_box_or_line_is_no_table(kind: str) -> None:
    image = Image.new("RGB", (600, 400), "white")
    if kind == "box":
        image.paste("black", (50, 50, 550, 350))
        image.paste("white", (54, 54, 546, 346))
    if kind == "underline":
        image.paste("black", (50, 200, 550, 203))
    assert ruled(sheet_of(image))[1] == []
