"""PDF files, written here object by object."""

import io

import pytest
from PIL import Image

from concilium.workers.runtime.skill import SkillFailed
from support.documents import Pdf, PdfPage, extract, grid, scan_page, text_at, text_page

LEFT = [f"Left column sentence number {i} goes on here" for i in range(8)]
RIGHT = [f"Right column sentence number {i} follows now" for i in range(8)]


def columns(order: str) -> bytes:
    """Return two columns under a heading, drawn in an order: by rows, or the right one first."""
    left = [text_at(50, 700 - 14 * i, line, 9) for i, line in enumerate(LEFT)]
    right = [text_at(320, 700 - 14 * i, line, 9) for i, line in enumerate(RIGHT)]
    by_rows = [piece for pair in zip(left, right, strict=True) for piece in pair]
    body = by_rows if order == "rows" else right + left
    heading = text_at(50, 750, "A heading that goes across the whole of this page and both of its columns", 14)
    footer = text_at(50, 40, "A footer that goes across the whole page as well, and ends the reading of it", 12)
    return footer + b"".join(body) + heading


@pytest.mark.parametrize("order", ["rows", "right first"])
def test_columns_are_read_one_after_the_other_whatever_the_order_of_the_file(order: str) -> None:
    text = extract(Pdf([PdfPage(columns(order))]).bytes())["text"]
    places = [text.index(piece) for piece in ("A heading", *LEFT, *RIGHT, "A footer")]
    assert places == sorted(places)


def test_pages_keep_their_numbers_and_a_selection_is_heard() -> None:
    pdf = Pdf([text_page([f"This is page {i} of the document, with words"]) for i in range(1, 8)])
    output = extract(pdf.bytes(), pages="2-3, 6-")
    assert output["page_count"] == 7
    assert [page["number"] for page in output["pages"]] == [2, 3, 6, 7]
    assert output["pages"][2]["text"] == "This is page 6 of the document, with words"


@pytest.mark.parametrize(
    ("pages", "problem"), [("9", "no-such-pages"), ("a", "invalid-pages"), ("5-2", "invalid-pages")]
)
def test_a_selection_without_sense_is_refused(pages: str, problem: str) -> None:
    with pytest.raises(SkillFailed) as failed:
        extract(Pdf([text_page(["Only one page"])]).bytes(), pages=pages)
    assert failed.value.problem.type == problem


def test_a_turned_page_is_read_as_it_is_shown() -> None:
    # Rotated by 90 degrees, text that runs upwards in the file stands upright.
    lines = b"".join(
        b"BT /F1 12 Tf 0 1 -1 0 %d 100 Tm (Line %d of a turned page with words) Tj ET\n" % (100 + 20 * i, i)
        for i in reversed(range(5))
    )
    text = extract(Pdf([PdfPage(lines, extra=b"/Rotate 90")]).bytes())["text"]
    assert text.split("\n") == [f"Line {i} of a turned page with words" for i in range(5)]


def test_a_ruled_table_is_a_table_and_its_rows_stay_rows_in_the_text() -> None:
    rows = [["Item", "Price", "Count"], ["Bolt", "1.20", "4"], ["Nut (M8)", "0.80", "12"]]
    pdf = Pdf([PdfPage(text_at(72, 780, "An order") + grid(72, 740, [120, 80, 60], rows))])
    output = extract(pdf.bytes())
    assert [table["rows"] for table in output["tables"]] == [rows]
    assert output["tables"][0]["page"] == 1
    assert output["tables"][0]["box"] == pytest.approx([72, 102, 260, 60], abs=1)
    assert output["pages"][0]["tables"] == output["tables"]
    assert "Bolt\t1.20\t4" in output["text"]
    assert extract(pdf.bytes(), tables="never")["tables"] == []


def test_a_scanned_page_is_given_back_as_an_image_and_the_others_as_text() -> None:
    pdf = Pdf()
    pdf.pages = [text_page(["This page is text and needs no recognition at all"]), scan_page(pdf, ["Scanned words"])]
    output = extract(pdf.bytes())
    assert [page["scanned"] for page in output["pages"]] == [False, True]
    (scan,) = output["scanned"]
    assert scan["name"].startswith("page-0002.")
    with Image.open(io.BytesIO(output["files"][scan["name"]])) as image:
        assert image.size == (1653, 2339)
    assert any("pages 2" in note for note in output["notes"])


def test_a_page_number_on_a_scan_does_not_make_it_text() -> None:
    pdf = Pdf()
    pdf.pages = [scan_page(pdf, ["Scanned words"], over=text_at(300, 20, "Downloaded on 3 May, page 1"))]
    assert extract(pdf.bytes())["pages"][0]["scanned"]


def test_an_invisible_layer_behind_a_scan_is_used_and_named() -> None:
    pdf = Pdf()
    layer = b"".join(text_at(72, 700 - 20 * i, f"Recognised line {i} of a scanned letter", mode=3) for i in range(6))
    pdf.pages = [scan_page(pdf, ["Recognised line"], over=layer)]
    output = extract(pdf.bytes())
    assert not output["pages"][0]["scanned"]
    assert "Recognised line 3" in output["text"]
    assert any("recogniser left behind the scan" in note for note in output["notes"])


def test_a_layer_that_means_nothing_is_left_out_and_the_page_recognised() -> None:
    pdf = Pdf()
    layer = b"".join(text_at(72, 700 - 20 * i, "¤¦¬¶¸¹¨¯´ˆ˜ ¦¬¤¶¸ ¹¨¯´¤¦¬¶", mode=3) for i in range(6))
    pdf.pages = [scan_page(pdf, ["Real words"], over=layer)]
    output = extract(pdf.bytes())
    assert output["pages"][0] == {"number": 1, "text": "", "tables": [], "scanned": True}
    assert any("means nothing" in note for note in output["notes"])


def test_a_blank_page_is_neither_text_nor_a_scan() -> None:
    output = extract(Pdf([PdfPage(b"")]).bytes())
    assert output["pages"] == [{"number": 1, "text": "", "tables": [], "scanned": False}]
    assert output["scanned"] == []


def test_images_of_all_pages_are_given_when_asked_for() -> None:
    pdf = Pdf([text_page(["One page of words for an image"]), text_page(["Another page of words for an image"])])
    output = extract(pdf.bytes(), page_images=True)
    assert [file["name"] for file in output["images"]] == ["page-0001.png", "page-0002.png"]
    assert output["scanned"] == []


def test_more_scans_than_one_run_gives_are_named_with_how_to_ask() -> None:
    pdf = Pdf()
    page = scan_page(pdf, ["The same scan on each page"], extra=b"/MediaBox [0 0 99 99]")
    pdf.pages = [page] * 66
    output = extract(pdf.bytes())
    assert len(output["scanned"]) == 63
    assert any("pages=64-66" in note for note in output["notes"])


def test_metadata_is_read() -> None:
    pdf = Pdf([text_page(["Words"])], info=b"/Title (A title) /Author (Ann) /CreationDate (D:20260903120000+02'00')")
    output = extract(pdf.bytes())
    assert output["title"] == "A title"
    assert output["metadata"]["author"] == "Ann"
    assert output["metadata"]["created"] == "2026-09-03T12:00:00+02:00"


def test_filled_fields_and_comments_are_in_the_text() -> None:
    pdf = Pdf()
    field = pdf.add(b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Name) /V (Ann Example) /Rect [10 10 99 30] >>")
    note = pdf.add(b"<< /Type /Annot /Subtype /Text /T (Bob) /Contents (Check this) /Rect [10 50 30 70] >>")
    page = text_page(["A form to be filled in by hand"])
    page.extra = b"/Annots [%d 0 R %d 0 R]" % (field, note)
    pdf.pages = [page]
    text = extract(pdf.bytes())["text"]
    assert "Name: Ann Example" in text
    assert "[comment] Bob: Check this" in text


def test_a_password_is_asked_for_and_checked() -> None:
    data = Pdf([text_page(["A secret page of words"])]).bytes(password="sesame")
    assert extract(data, password="sesame")["text"] == "A secret page of words"
    for wanted, problem in (({}, "password-required"), ({"password": "other"}, "wrong-password")):
        with pytest.raises(SkillFailed) as failed:
            extract(data, **wanted)
        assert failed.value.problem.type == problem


def test_what_a_pdf_would_run_is_named_and_not_run() -> None:
    pdf = Pdf([text_page(["Harmless words on a page"])])
    script = pdf.add(b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>")
    launch = pdf.add(b"<< /S /Launch /F (calc.exe) >>")
    file = pdf.add(b"<< /Type /Filespec /F (../../evil.exe) /UF (../../evil.exe) /EF << /F 7 0 R >> >>")
    pdf.add(b"<< /Type /EmbeddedFile /Length 2 >>\nstream\nMZ\nendstream")
    pdf.catalog = b"/OpenAction %d 0 R /AA << /WC %d 0 R >> /Names << /EmbeddedFiles << /Names [(a) %d 0 R] >> >>" % (
        script,
        launch,
        file,
    )
    output = extract(pdf.bytes())
    notes = " ".join(output["notes"])
    assert "JavaScript; it was not run" in notes
    assert "start a program; it was not started" in notes
    assert [(a["name"], a["read"]) for a in output["attachments"]] == [("evil.exe", False)]
    assert output["text"] == "Harmless words on a page"


def test_long_text_is_cut_with_a_note_and_is_whole_in_a_file() -> None:
    pdf = Pdf([text_page([f"Page {i} has these words"]) for i in range(1, 6)])
    output = extract(pdf.bytes(), max_chars=30)
    assert output["text"] == "Page 1 has these words\n\nPage 2 h"
    assert any("cut within page 2" in note for note in output["notes"])
    assert output["files"]["text.txt"].decode().count("has these words") == 5
