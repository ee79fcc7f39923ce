"""Excel workbooks and their number formats."""

import datetime as dt
import io
from typing import Any

import openpyxl
import pytest

from concilium.workers.document.formats.numbers import shown
from concilium.workers.runtime.skill import SkillFailed
from support.documents import changed, extract

NAME = "book.xlsx"


def moment(*fields: int) -> dt.datetime:
    """Return a date as a sheet has it, without a zone."""
    return dt.datetime(*fields)  # type: ignore[arg-type,misc] # noqa: DTZ001 - a sheet's dates have no zone


def saved(book: Any) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_sheets_are_pages_and_cells_are_as_shown() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Итоги"
    sheet.append(["Товар", "Цена", "Доля", "Дата"])
    sheet.append(["Болт", 1234.5, 0.256, moment(2026, 9, 3)])
    sheet["B2"].number_format = '#,##0.00 "₽"'
    sheet["C2"].number_format = "0.0%"
    sheet["D2"].number_format = "dd.mm.yyyy"
    sheet["A4"] = "wide"
    sheet.merge_cells("A4:B4")
    other = book.create_sheet("Second")
    other["B2"] = True
    output = extract(saved(book), NAME)
    assert output["page_count"] == 2
    assert output["tables"][0] == {
        "rows": [
            ["Товар", "Цена", "Доля", "Дата"],
            ["Болт", "1,234.50 ₽", "25.6%", "03.09.2026"],
            ["", "", "", ""],
            ["wide", "", "", ""],
        ],
        "page": 1,
        "title": "Итоги",
    }
    assert output["tables"][1]["rows"] == [["", "TRUE"]]
    assert output["pages"][0]["text"].startswith("Итоги\nТовар\tЦена")
    assert extract(saved(book), NAME, pages="2")["text"] == "Second\n\tTRUE"


def test_formulas_are_shown_by_their_saved_value_else_as_formulas() -> None:
    book = openpyxl.Workbook()
    book.active["A1"] = 2
    book.active["A2"] = "=A1*21"
    data = saved(book)
    output = extract(data, NAME)
    assert output["tables"][0]["rows"] == [["2"], ["=A1*21"]]
    assert any("no saved value" in note for note in output["notes"])
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
        b'<c r="A1"><f>6*7</f><v>42</v></c></row></sheetData></worksheet>'
    )
    output = extract(changed(data, {"xl/worksheets/sheet1.xml": sheet}), NAME)
    assert output["tables"][0]["rows"] == [["42"]]
    assert any("nothing was calculated" in note for note in output["notes"])


def test_hidden_sheets_and_macros_are_named() -> None:
    book = openpyxl.Workbook()
    book.active["A1"] = "seen"
    book.create_sheet("Tricks")["A1"] = "kept in the dark"
    book["Tricks"].sheet_state = "veryHidden"
    output = extract(changed(saved(book), {"xl/vbaProject.bin": b"macro"}), "book.xlsm")
    notes = " ".join(output["notes"])
    assert "hidden sheets are in the text: Tricks" in notes
    assert "macros; they were not run" in notes


def test_a_lonely_cell_far_away_fills_nothing_between() -> None:
    book = openpyxl.Workbook()
    book.active["A1"] = "start"
    book.active["XFD1048576"] = "end"
    output = extract(saved(book), NAME)
    assert len(output["tables"][0]["rows"]) < 10
    assert any("empty rows were left out" in note for note in output["notes"])


def test_a_hundred_thousand_empty_formatted_cells_are_passed_over() -> None:
    empty = b"".join(b'<row r="%d">%s</row>' % (row, b'<c s="1"/>' * 10) for row in range(2, 10_002))
    text = b'<row r="%d"><c t="inlineStr"><is><t>%s</t></is></c></row>'
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        + text % (1, b"first") + empty + text % (10_002, b"last") + b"</sheetData></worksheet>"
    )  # fmt: skip
    output = extract(changed(saved(openpyxl.Workbook()), {"xl/worksheets/sheet1.xml": sheet}), NAME)
    assert [row for row in output["tables"][0]["rows"] if row[0]] == [["first"], ["last"]]


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        (1234567.891, "General", "1234567.891"),
        (5, "General", "5"),
        (0.1 + 0.2, "General", "0.3"),
        (12, "0000", "0012"),
        (-5, "0.00;(0.00)", "(5.00)"),
        (1234.5, "#,##0", "1,234"),
        (0.5, "0%", "50%"),
        (1250000, "#,##0.0,,", "1.2"),
        (3, "[$€-407] #,##0.00", "€ 3.00"),
        (12345, "0.00E+00", "1.23E+04"),
        (1.5, "#.##", "1.5"),
        (2.5, "# ?/?", "2.5"),
        (0, '0;-0;"none"', "none"),
        (moment(2026, 9, 3, 14, 5, 6), "yyyy-mm-dd hh:mm:ss", "2026-09-03 14:05:06"),
        (moment(2026, 9, 3, 14, 5), "d mmmm yyyy, h:mm AM/PM", "3 September 2026, 2:05 PM"),
        (moment(2026, 9, 3), "mm-dd-yy", "2026-09-03"),
        (moment(2026, 9, 3), '[$-419]d mmm yyyy "г."', "3 Sep 2026 г."),
        (dt.time(9, 30), "h:mm", "9:30"),
        (dt.timedelta(hours=30, minutes=5), "[h]:mm:ss", "30:05:00"),
        (float("nan"), "0", "#NUM!"),
    ],
)
def test_values_are_shown_by_their_format(value: Any, code: str, expected: str) -> None:
    assert shown(value, code) == expected


def test_a_workbook_without_its_parts_is_damaged() -> None:
    data = changed(saved(openpyxl.Workbook()), {"xl/workbook.xml": b"<workbook"})
    with pytest.raises(SkillFailed) as failed:
        extract(data, NAME)
    assert failed.value.problem.type == "document-damaged"
