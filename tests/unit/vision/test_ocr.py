"""``vision.ocr`` on pages drawn here, with whatever readers a machine has and with the bundled one alone."""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.vision import skills
from concilium.workers.vision.tesseract import lines_of

ROOT = Path(__file__).resolve().parents[3]
DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
SHA = "0" * 64
TESSERACT = shutil.which("tesseract") is not None

needs_dejavu = pytest.mark.skipif(not DEJAVU.is_file(), reason="apt-get install fonts-dejavu-core")
needs_tesseract = pytest.mark.skipif(not TESSERACT, reason="apt-get install tesseract-ocr tesseract-ocr-rus")


async def read(path: Path, data: bytes, deadline_s: float = 60, **more: JSON) -> JSON:
    image = {"sha256": SHA, "name": "a.png", "media_type": "image/png", "size": len(data)}
    context = SkillContext("t.s.1", {SHA: data}, {}, path, deadline_at=time.monotonic() + deadline_s)
    return (await skills["vision.ocr"](context, {"image": image, **more})).output


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def page(*lines: str, size: int = 32, font: Path | None = None) -> bytes:
    face = ImageFont.truetype(str(font), size) if font else ImageFont.load_default(size)
    image = Image.new("RGB", (round(max(face.getlength(t) for t in lines)) + 80, size * 2 * len(lines) + 60), "white")
    for number, text in enumerate(lines):
        ImageDraw.Draw(image).text((40, 30 + number * size * 2), text, "black", face)
    return png(image)


@pytest.fixture
def wheel_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("languages", [None, ["en"], ["eng"]])
@pytest.mark.usefixtures("wheel_only")
async def test_english_is_read_by_the_wheel_alone(tmp_path: Path, languages: list[str] | None) -> None:
    asked = {} if languages is None else {"languages": languages}
    output = await read(tmp_path, page("The parcel was delivered on Monday", "Total due 1,234.50"), **asked)
    assert output["text"] == "The parcel was delivered on Monday\nTotal due 1,234.50"
    assert (output["language"], output["engine"]) == ("en", "rapidocr")


@pytest.mark.usefixtures("wheel_only")
async def test_the_amounts_of_the_example_invoice_are_read_exactly_by_the_wheel_alone(tmp_path: Path) -> None:
    text = (await read(tmp_path, (ROOT / "examples" / "invoice.png").read_bytes()))["text"]
    for row in ("2 1,249.00 2,498.00", "6 289.50 1,737.00", "24 7.95 190.80", "14 85.00 1,190.00", "1 46.80 46.80"):
        assert row in text
    for amount in ("5,662.60", "1,132.52", "6,795.12"):
        assert amount in text


@needs_dejavu
@pytest.mark.usefixtures("wheel_only")
@pytest.mark.parametrize("languages", [None, ["en"]])
@pytest.mark.parametrize(
    "text",
    [
        "Договор вступает в силу с момента подписания",
        "СЧЁТ НА ОПЛАТУ",
        "Сотрудник",
        "Наименование товара, количество, цена",
        "Наступила зима, и река замёрзла",
    ],
)
async def test_cyrillic_is_refused_and_not_read_as_look_alikes(
    tmp_path: Path, text: str, languages: list[str] | None
) -> None:
    asked = {} if languages is None else {"languages": languages}
    with pytest.raises(SkillFailed, match=r"unsupported_script: .*tesseract-ocr-rus"):
        await read(tmp_path, page(text, font=DEJAVU), **asked)


@needs_dejavu
@pytest.mark.usefixtures("wheel_only")
async def test_one_russian_sentence_on_an_english_page_is_enough_to_refuse(tmp_path: Path) -> None:
    english = ["The contract starts on the first of May", "Both parties have received a copy", "Signed in London"]
    with pytest.raises(SkillFailed, match="unsupported_script"):
        await read(tmp_path, page(*english, "Договор вступает в силу с момента подписания сторонами", font=DEJAVU))


@pytest.mark.usefixtures("wheel_only")
@pytest.mark.parametrize("text", ["12 500,00  7 340.15  99", "2026-08-12 14:35", "+44 117 496 0821", "A-4471/XK 00"])
async def test_numbers_and_codes_are_not_refused(tmp_path: Path, text: str) -> None:
    assert (await read(tmp_path, page(text, text, font=None)))["engine"] == "rapidocr"


@pytest.mark.usefixtures("wheel_only")
async def test_russian_asked_for_without_its_reader_is_refused_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match=r"unsupported_script: .*apt-get install -y tesseract-ocr tesseract-ocr-rus"):
        await read(tmp_path, page("Hello"), languages=["ru"])


async def test_a_language_nobody_reads_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match=r"unsupported-language: no engine for zzz; there are: .*eng"):
        await read(tmp_path, page("Hello"), languages=["zzz"])


@needs_tesseract
@needs_dejavu
async def test_russian_is_read_where_tesseract_knows_it(tmp_path: Path) -> None:
    output = await read(tmp_path, page("Договор вступает в силу", "Итого 1 234,50", font=DEJAVU))
    assert (output["text"], output["language"]) == ("Договор вступает в силу\nИтого 1 234,50", "ru")


@needs_tesseract
@needs_dejavu
async def test_a_russian_page_called_english_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match=r'unsupported_script: .*languages \["ru"\]'):
        await read(tmp_path, page("Договор вступает в силу", font=DEJAVU), languages=["en"])


@needs_tesseract
async def test_no_cyrillic_letter_strays_into_an_english_page(tmp_path: Path) -> None:
    output = await read(tmp_path, page("Network cable, 5 m", "TOTAL MAP BOX CAB", "POP COP HOB"))
    assert output["text"].isascii()


@pytest.mark.usefixtures("wheel_only")
async def test_an_empty_page_is_read_as_no_text(tmp_path: Path) -> None:
    output = await read(tmp_path, png(Image.new("RGB", (300, 200), "white")))
    assert (output["text"], output["lines"]) == ("", [])


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (7000, 20)])
async def test_images_of_odd_sizes_are_read_without_harm(tmp_path: Path, size: tuple[int, int]) -> None:
    output = await read(tmp_path, png(Image.new("RGB", size, "white")))
    assert (output["width"], output["height"], output["text"]) == (*size, "")


STRIP = """
import resource
from PIL import Image, ImageDraw, ImageFont
from concilium.workers.vision import rapid
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for size in ((7000, 20), (20, 7000), (3000, 50), (300, 2400), (400, 1)):
    strip = Image.new("RGB", size, "white")
    ImageDraw.Draw(strip).text((10, 2), "Payment", "black", ImageFont.load_default(16))
    rapid.read(strip, 1)
"""


def test_long_strips_are_read_by_the_wheel_in_bounded_memory() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    done = subprocess.run([sys.executable, "-c", STRIP], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("wheel_only")
async def test_small_text_is_read_on_an_enlarged_page(tmp_path: Path) -> None:
    output = await read(tmp_path, page("Payment is due within thirty days", size=12))
    assert "thirty" in output["text"]
    assert all(box["box"][0] + box["box"][2] <= output["width"] for box in output["lines"])


@pytest.mark.usefixtures("wheel_only")
async def test_boxes_lie_where_the_text_is(tmp_path: Path) -> None:
    output = await read(tmp_path, page("First line here", "Second line here"))
    first, second = (line["box"] for line in output["lines"])
    assert first[1] < 62 < first[1] + first[3] < 94
    assert second[1] > first[1] + first[3] - 10


@pytest.mark.usefixtures("wheel_only")
async def test_many_pages_at_once_are_read_right(tmp_path: Path) -> None:
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    outputs = await asyncio.gather(*(read(tmp_path, page(f"Closed on {name}")) for name in names))
    assert [output["text"] for output in outputs] == [f"Closed on {name}" for name in names]


def slow_tesseract(folder: Path) -> Path:
    """Put a program named tesseract, which never answers, on a path of its own; return where it leaves its pid."""
    program, pid = folder / "tesseract", folder / "pid"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --list-langs ] && { echo List; echo eng; echo rus; exit; }\n'
        f"echo $$ > {pid}\nexec /bin/sleep 60\n"
    )
    program.chmod(0o755)
    return pid


def written_pid(path: Path) -> int:
    """Wait until the program has written its pid."""
    limit = time.monotonic() + 20
    while not (path.is_file() and path.read_text().strip()):
        assert time.monotonic() < limit
        time.sleep(0.01)
    return int(path.read_text())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = slow_tesseract(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SkillFailed, match="ocr-timeout"):
        await read(tmp_path, page("Hello"), deadline_s=4.0)
    assert not lives(written_pid(pid))


async def test_a_cancelled_run_leaves_no_reader_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = slow_tesseract(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    run = asyncio.create_task(read(tmp_path, page("Hello")))
    child = await asyncio.to_thread(written_pid, pid)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not lives(child)


def test_quotes_in_a_page_do_not_upset_the_table_of_words() -> None:
    head = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
    rows = '5\t1\t1\t1\t1\t1\t10\t20\t30\t8\t90\t"Quoted\n5\t1\t1\t1\t1\t2\t50\t18\t20\t12\t70\tword\n'
    (line,) = lines_of(head + rows)
    assert (line.text, line.x, line.y, line.width, line.height, line.confidence) == (
        '"Quoted word',
        10,
        18,
        60,
        12,
        0.8,
    )
