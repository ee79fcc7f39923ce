"""``vision.ocr``: the text of an image, by the engine that knows its script, or a refusal; never look-alikes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median

from PIL import Image

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult
from concilium.workers.vision import layout, rapid, script, tesseract
from concilium.workers.vision.decode import decode
from concilium.workers.vision.lines import Line
from concilium.workers.vision.pool import on_thread

GET_RUSSIAN = "apt-get install -y tesseract-ocr tesseract-ocr-rus"
CODES = {"en": "eng", "ru": "rus", "de": "deu", "fr": "fra", "es": "spa", "it": "ita", "pl": "pol", "uk": "ukr"}
"""Two-letter codes and tesseract's own."""
ASK_RUSSIAN = 'ask with languages ["ru"], or leave languages out'
STRAY_CYRILLIC = 0.1
"""A page with a larger part of its letters Cyrillic is not an English one with misread letters."""
SMALL_TEXT = 20
"""Lines lower than this, in pixels, are read again on an enlarged page."""
ENLARGED_PIXELS = 12_000_000

Reader = Callable[[Image.Image], Awaitable[list[Line]]]


@dataclass(frozen=True)
class Reading:
    """What an engine made of a page."""

    engine: str
    lines: list[Line]


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Load the bundled reader's models and the script's model once."""
    if rapid.present():
        await on_thread(rapid.warm, int(settings.get("threads", 2)))
    script.model()


async def ocr(ctx: SkillContext, data: JSON) -> SkillResult:
    """Read the text.

    Raises:
        SkillFailed: as `decode`; ``unsupported_script``, ``unsupported-language``, ``ocr-timeout``, ``ocr-failed``.
    """
    ref = data["image"]
    found = await on_thread(decode, ctx.files[ref["sha256"]], ref["media_type"])
    await ctx.progress(0.1, f"{found.image.width} x {found.image.height} pixels")
    asked = tuple(dict.fromkeys(CODES.get(code, code) for code in data.get("languages", [])))
    reading = await _read(found.image, asked, ctx)
    text = "\n".join(line.text for line in reading.lines)
    output = {
        "text": text,
        "lines": [line.as_json() for line in reading.lines],
        "language": "ru" if script.cyrillic_share(text) > 0.5 else "en",
        "engine": reading.engine,
        "width": found.image.width,
        "height": found.image.height,
        "notes": list(found.notes),
    }
    return SkillResult(output)


async def _read(image: Image.Image, asked: tuple[str, ...], ctx: SkillContext) -> Reading:
    """Choose the engine: tesseract where it has the languages, which errs less; else the bundled reader for Latin."""
    here = await tesseract.languages()
    if asked not in ((), ("eng",)):
        _require(asked, here)
        return await _by_tesseract(image, asked, ctx)
    if here >= {"eng", "rus"}:
        return await _either_script(image, asked, ctx)
    if not rapid.present():
        raise SkillFailed("no-engine", "no reader of text; run: pip install 'concilium[vision]'")
    lines = await zoomed(image, lambda page: on_thread(rapid.read, page, int(ctx.settings.get("threads", 2))))
    if script.judge(lines).cyrillic:
        if "rus" in here and not asked:
            return await _by_tesseract(image, ("rus",), ctx)
        raise SkillFailed("unsupported_script", f"the page is Cyrillic; {_how_russian(here)}")
    if "eng" in here:
        return await _by_tesseract(image, ("eng",), ctx)
    return Reading(rapid.NAME, layout.arrange([n for n in lines if n.confidence >= rapid.CONFIDENCE_MIN]))


async def _either_script(image: Image.Image, asked: tuple[str, ...], ctx: SkillContext) -> Reading:
    """Read with both languages; lone Cyrillic letters on a Latin page are misread ones, so it is read as English."""
    both = await _by_tesseract(image, ("rus", "eng"), ctx)
    text = "\n".join(line.text for line in both.lines)
    if asked and script.cyrillic_share(text) > STRAY_CYRILLIC:
        raise SkillFailed("unsupported_script", f"the page is Cyrillic, at least in part; {ASK_RUSSIAN}")
    if not script.has_cyrillic(text) or (script.has_cyrillic_words(text) and not asked):
        return both
    return await _by_tesseract(image, ("eng",), ctx)


def _how_russian(here: frozenset[str]) -> str:
    if "rus" in here:
        return ASK_RUSSIAN
    return f"only Latin script can be read here. For Russian run: {GET_RUSSIAN}"


def _require(asked: tuple[str, ...], here: frozenset[str]) -> None:
    missing = [code for code in asked if code not in here]
    if "rus" in missing:
        raise SkillFailed("unsupported_script", f"Russian cannot be read here; run: {GET_RUSSIAN}")
    if missing:
        packages = " ".join(["tesseract-ocr", *(f"tesseract-ocr-{code}" for code in missing)])
        known = ", ".join(sorted({"eng", *here} - {"osd"}))
        detail = f"no engine for {', '.join(missing)}; there are: {known}. More: apt-get install -y {packages}"
        raise SkillFailed("unsupported-language", detail)


async def _by_tesseract(image: Image.Image, wanted: tuple[str, ...], ctx: SkillContext) -> Reading:
    limit_s = min(float(ctx.settings.get("tesseract_timeout_s", 60)), ctx.deadline_s)
    lines = await zoomed(image, lambda page: tesseract.read(page, wanted, ctx.workdir, limit_s))
    return Reading(tesseract.NAME, lines)


async def zoomed(image: Image.Image, read: Reader) -> list[Line]:
    """Read a page; when its text turns out small, read it once more at twice the size and keep the surer reading."""
    lines = await read(image)
    small = not lines or median(line.height for line in lines) < SMALL_TEXT
    if not small or 4 * image.width * image.height > ENLARGED_PIXELS:
        return lines
    size = (2 * image.width, 2 * image.height)
    again = await read(await on_thread(image.resize, size, Image.Resampling.LANCZOS))
    return [line.scaled(0.5) for line in again] if _sureness(again) > _sureness(lines) else lines


def _sureness(lines: list[Line]) -> float:
    """Return how much text was read with confidence: characters weighted by it."""
    return sum(len(line.text) * line.confidence for line in lines)
