"""Word documents."""

import io
from typing import Any

import docx
import pytest
from docx.enum.text import WD_BREAK
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from msoffcrypto.format.ooxml import OOXMLFile

from concilium.workers.runtime.skill import SkillFailed
from support.documents import changed, extract

NAME = "letter.docx"


def saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def letter() -> Any:
    document = docx.Document()
    document.core_properties.title = "Договор"
    document.core_properties.author = "Анна"
    document.add_heading("Договор аренды", 1)
    document.add_paragraph("First paragraph.\twith a tab")
    table = document.add_table(rows=3, cols=3)
    for row in range(3):
        for column in range(3):
            table.cell(row, column).text = f"{row}{column}"
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 2).merge(table.cell(2, 2)).text = "high"
    document.add_paragraph("Пункт списка", style="List Bullet")
    document.add_paragraph("After the table.")
    return document


def encrypted(data: bytes, password: str) -> bytes:
    out = io.BytesIO()
    OOXMLFile(io.BytesIO(data)).encrypt(password, out)
    return out.getvalue()


def test_paragraphs_and_tables_come_in_their_order() -> None:
    output = extract(saved(letter()), NAME)
    assert output["kind"] == "docx"
    assert output["title"] == "Договор"
    assert output["metadata"]["author"] == "Анна"
    places = [output["text"].index(piece) for piece in ("Договор аренды", "First", "wide", "Пункт списка", "After")]
    assert places == sorted(places)
    assert output["tables"] == [
        {"rows": [["wide", "", "02"], ["10", "11", "high"], ["20", "21", ""]], "page": 1},
    ]


def test_pages_end_at_breaks_and_can_be_selected() -> None:
    document = docx.Document()
    document.add_paragraph("Page one")
    document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    document.add_paragraph("Page two")
    output = extract(saved(document), NAME, pages="2")
    assert output["page_count"] == 2
    assert output["text"] == "Page two"
    assert any("breaks set by hand" in note for note in output["notes"])


def test_hidden_and_deleted_text_is_left_out_and_noted() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("Seen ")
    paragraph.add_run("unseen").font.hidden = True
    deleted = OxmlElement("w:del")
    run = OxmlElement("w:r")
    gone = OxmlElement("w:delText")
    gone.text = "gone"
    run.append(gone)
    deleted.append(run)
    inserted = OxmlElement("w:ins")
    inserted.append(paragraph.add_run("new").element)
    paragraph._p.extend([deleted, inserted])
    output = extract(saved(document), NAME)
    assert output["text"] == "Seen new"
    assert any("6 characters of hidden text" in note for note in output["notes"])
    assert any("1 tracked deletions" in note for note in output["notes"])


def test_headers_fields_and_macros_are_named() -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Secret report"
    run = document.add_paragraph("Text").add_run()
    command = OxmlElement("w:instrText")
    command.text = ' DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe "/k calc.exe" '
    run.element.append(command)
    output = extract(changed(saved(document), {"word/vbaProject.bin": b"\xd0\xcf macro"}), "letter.docm")
    assert output["metadata"]["header"] == "Secret report"
    assert output["text"] == "Text"
    notes = " ".join(output["notes"])
    assert "macros; they were not run" in notes
    assert "start programs or fetch files; they were not followed" in notes


def test_comments_stand_at_the_end_of_their_page() -> None:
    document = docx.Document()
    run = document.add_paragraph("A claim to check").runs[0]
    document.add_comment(run, text="Is this so?", author="Bob")
    text = extract(saved(document), NAME)["text"]
    assert text.startswith("A claim to check")
    assert "Bob: Is this so?" in text


def test_a_password_opens_an_encrypted_document() -> None:
    data = encrypted(saved(letter()), "пароль")
    assert "After the table." in extract(data, NAME, password="пароль")["text"]
    for wanted, problem in (({}, "password-required"), ({"password": "other"}, "wrong-password")):
        with pytest.raises(SkillFailed) as failed:
            extract(data, NAME, **wanted)
        assert failed.value.problem.type == problem


def test_a_password_hash_made_to_keep_readers_busy_is_refused() -> None:
    data = encrypted(saved(letter()), "slow").replace(b'spinCount="100000"', b'spinCount="999999999"')
    if b"999999999" not in data:
        pytest.fail("the document has no spinCount to change")
    with pytest.raises(SkillFailed) as failed:
        extract(data, NAME, password="slow")
    assert failed.value.problem.type in ("document-hostile", "document-damaged")


def test_a_template_elsewhere_is_not_fetched() -> None:
    relations = (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1"'
        b' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate"'
        b' Target="http://192.0.2.1/t.dotm" TargetMode="External"/></Relationships>'
    )
    output = extract(changed(saved(letter()), {"word/_rels/settings.xml.rels": relations}), NAME)
    assert any("nothing was fetched" in note for note in output["notes"])


def test_footnotes_are_read_where_their_page_ends() -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("A statement")
    reference = OxmlElement("w:footnoteReference")
    reference.set(qn("w:id"), "2")
    paragraph.add_run().element.append(reference)
    notes = (
        '<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:footnote w:id="2">'
        "<w:p><w:r><w:t>Its source</w:t></w:r></w:p></w:footnote></w:footnotes>"
    )
    text = extract(changed(saved(document), {"word/footnotes.xml": notes.encode()}), NAME)["text"]
    assert text == "A statement[2]\n\n[footnote 2] Its source"
