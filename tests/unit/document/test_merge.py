"""Recognised text in the place of scanned pages."""

from concilium.contracts.base import JSON
from concilium.workers.runtime.testing import run_skill
from support.documents import AGENT

PAGES = [
    {"number": 1, "text": "first", "tables": [], "scanned": False},
    {"number": 2, "text": "", "tables": [], "scanned": True},
    {"number": 7, "text": "stamp", "tables": [], "scanned": True},
]


def merge(pages: JSON, read: JSON) -> JSON:
    return run_skill(AGENT, "document.merge", {"pages": pages, "read": read}).output


def test_recognised_pages_stand_in_their_place() -> None:
    read = [{"name": "page-0007.jpg", "text": "seventh\n", "width": 9}, {"name": "page-0002.png", "text": "second"}]
    output = merge(PAGES, read)
    assert output["text"] == "first\n\nsecond\n\nseventh"
    assert output["pages"][1] == {"number": 2, "text": "second"}
    assert output["notes"] == []


def test_a_document_without_scans_stays_as_it_is() -> None:
    output = merge(PAGES[:1], None)
    assert output == {"text": "first", "pages": [{"number": 1, "text": "first"}], "notes": []}


def test_pages_that_were_not_recognised_keep_their_text_and_are_named() -> None:
    output = merge(PAGES, [{"name": "page-0002.png", "text": "", "error": "unsupported_script"}])
    assert output["text"] == "first\n\nstamp"
    assert output["notes"] == [
        "page 2 could not be recognised: unsupported_script",
        "page 7 is a scan and was not recognised",
    ]


def test_what_belongs_to_no_page_is_named() -> None:
    output = merge(PAGES[:1], [{"name": "photo.png", "text": "x"}, {"name": "page-0009.png", "text": "y"}])
    assert output["text"] == "first"
    assert len(output["notes"]) == 2


def test_a_page_that_is_text_is_not_replaced() -> None:
    assert merge(PAGES[:1], [{"name": "page-0001.png", "text": "other"}])["text"] == "first"
