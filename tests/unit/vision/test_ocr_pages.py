"""``vision.ocr`` on pages of every kind: many, turned, photographed, mixed, in scripts nobody here reads."""

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.vision import skills
from concilium.workers.vision.lines import Word, line_of
from concilium.workers.vision.script import arbitrated, unified

from .drawing import needs_dejavu, page, photographed, png, shaded

pytestmark = [
    needs_dejavu,
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="apt-get install tesseract-ocr tesseract-ocr-rus"),
]
ENGLISH = ("The harbour was quiet before the storm", "Seven boats lay side by side", "Payment is due in May")
RUSSIAN = ("Гавань притихла перед началом бури", "Семь лодок стояли в ряд у стены", "Оплата ожидается в мае")


async def read(folder: Path, *images: Image.Image | bytes, alone: bool = True, **more: JSON) -> JSON:
    data = {f"{n:064x}": image if isinstance(image, bytes) else png(image) for n, image in enumerate(images)}
    refs = [
        {"sha256": sha, "name": f"page-{n + 1:04}.png", "media_type": "image/png", "size": len(content)}
        for n, (sha, content) in enumerate(data.items())
    ]
    told: list[tuple[float | None, str]] = []

    async def report(fraction: float | None, message: str) -> None:
        told.append((fraction, message))

    context = SkillContext("t.s.1", data, {}, folder, deadline_at=time.monotonic() + 100, report=report)
    output = (
        await skills["vision.ocr"](context, {**({"image": refs[0]} if alone else {"images": refs}), **more})
    ).output
    return {**output, "told": told}


def text_of(output: JSON) -> list[str]:
    return [line["text"] for line in output["lines"]]


@pytest.mark.parametrize("degrees", [90, 180, 270, 186])
async def test_a_turned_page_is_read_and_its_boxes_lie_in_the_given_image(tmp_path: Path, degrees: int) -> None:
    upright = page(*ENGLISH)
    given = upright.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    output = await read(tmp_path, given)
    assert text_of(output) == list(ENGLISH)
    assert output["rotation"] == {90: 90, 180: 180, 270: 270, 186: 180}[degrees]
    assert (output["width"], output["height"]) == given.size
    x, y, width, height = output["lines"][0]["box"]
    middle = (x + width / 2, y + height / 2)
    expected = {90: (44, None), 180: (None, given.height - 44), 270: (given.width - 44, None)}.get(
        degrees, (None, None)
    )
    for value, wanted in zip(middle, expected, strict=True):
        assert wanted is None or value == pytest.approx(wanted, abs=8)


async def test_words_have_boxes_within_their_lines(tmp_path: Path) -> None:
    output = await read(tmp_path, page(*ENGLISH))
    assert [word["text"] for word in output["words"] if word["line"] == 2] == ENGLISH[2].split()
    for word in output["words"]:
        line = output["lines"][word["line"]]["box"]
        assert line[0] <= word["box"][0]
        assert word["box"][0] + word["box"][2] <= line[0] + line[2]
        assert 0.5 < word["confidence"] <= 1


async def test_a_photograph_in_the_shade_from_aside_is_read(tmp_path: Path) -> None:
    paper = page(*RUSSIAN, *ENGLISH, *RUSSIAN)
    corners = [(160, 120), (1010, 190), (960, 870), (90, 800)]
    output = await read(tmp_path, shaded(photographed(paper, corners, (1100, 1000))))
    assert text_of(output) == [*RUSSIAN, *ENGLISH, *RUSSIAN]


async def test_english_and_russian_on_one_page_are_both_read(tmp_path: Path) -> None:
    lines = ("Сервер Dell PowerEdge на складе", "Invoice for the rack server", "Договор вступает в силу")
    assert text_of(await read(tmp_path, page(*lines))) == list(lines)


@pytest.mark.parametrize(
    "lines",
    [
        ("Η συμφωνία τίθεται σε ισχύ την πρώτη Μαΐου", "Ο καιρός θα παραμείνει καλός", "Παρακαλώ περιμένετε στην ουρά"),
        ("ברוכים הבאים לעיר העתיקה", "המוזיאון פתוח בכל יום", "נא להמתין בתור לקופה"),
        ("Պայմանագիրը ուժի մեջ է մտնում", "Թանգարանը բաց է ամեն օր", "Խնդրում ենք սպասել հերթում"),
        ("ხელშეკრულება ძალაში შედის", "მუზეუმი ღიაა ყოველდღე", "გთხოვთ დაელოდოთ რიგში"),
    ],
    ids=["Greek", "Hebrew", "Armenian", "Georgian"],
)
async def test_a_script_no_reader_knows_is_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(SkillFailed, match="unsupported_script"):
        await read(tmp_path, page(*lines))


async def test_several_pages_are_read_in_order_with_progress(tmp_path: Path) -> None:
    output = await read(tmp_path, page(*ENGLISH), page(*RUSSIAN), alone=False)
    assert output["text"] == "\n".join(ENGLISH) + "\n\n" + "\n".join(RUSSIAN)
    assert [(p["name"], p["language"], p["error"]) for p in output["pages"]] == [
        ("page-0001.png", "en", None),
        ("page-0002.png", "ru", None),
    ]
    assert [line["page"] for line in output["lines"]] == [0, 0, 0, 1, 1, 1]
    assert "words" not in output
    assert [fraction for fraction, _ in output["told"] if fraction] == [0.5, 1.0]


async def test_a_page_that_cannot_be_read_has_an_error_and_the_others_their_text(tmp_path: Path) -> None:
    output = await read(tmp_path, page(*ENGLISH), b"no picture", page(*RUSSIAN), alone=False)
    assert output["text"] == "\n".join(ENGLISH) + "\n\n" + "\n".join(RUSSIAN)
    assert output["pages"][1]["error"].startswith("not-an-image")
    assert output["pages"][1]["text"] == ""
    assert any("page-0002.png: not read: not-an-image" in note for note in output["notes"])


async def test_a_run_of_unreadable_pages_alone_fails(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match="not-an-image"):
        await read(tmp_path, b"no picture", b"nor this", alone=False)


async def test_a_blank_page_between_others_is_no_error(tmp_path: Path) -> None:
    output = await read(tmp_path, Image.new("RGB", (400, 300), "white"), page(*ENGLISH), alone=False)
    assert [(p["text"], p["error"]) for p in output["pages"]] == [("", None), ("\n".join(ENGLISH), None)]


async def test_a_cancelled_run_of_many_pages_ends_within_a_second(tmp_path: Path) -> None:
    run = asyncio.create_task(read(tmp_path, *[page(*ENGLISH * 4)] * 12, alone=False))
    await asyncio.sleep(0)
    done, _ = await asyncio.wait([run], timeout=1.5)
    assert not done
    began = time.monotonic()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert time.monotonic() - began < 1


def words(*texts: str, sure: float = 0.9) -> list[Word]:
    return [Word(text, 100 * n, 0, 80, 20, sure) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("read_as", "meant"),
    [
        (("Договор", "вcтупaeт", "в", "силу"), "Договор вступает в силу"),
        (("The", "рrice", "of", "а", "bоok"), "The price of a book"),
        (("the", "fifth", "of", "next", "Мау"), "the fifth of next May"),
        (("Сервер", "Dell", "на", "складе"), "Сервер Dell на складе"),
        (("Модель", "X", "и", "модель", "Y"), "Модель Х и модель У"),
    ],
)
def test_letters_that_look_alike_take_the_script_around_them(read_as: tuple[str, ...], meant: str) -> None:
    assert unified(line_of(words(*read_as))).text == meant


def test_of_two_readings_of_a_word_the_surer_is_kept() -> None:
    both = line_of([*words("Ka6enb", sure=0.5), *words("-", "Dell", sure=0.95)[1:]])
    alone = [*words("Кабель", sure=0.9), *words("-", "Бей", sure=0.3)[1:]]
    assert arbitrated(both, alone, cyrillic=True).text == "Кабель Dell"
