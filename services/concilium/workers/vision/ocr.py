"""``vision.ocr``: the text of an image, or of several, by the engine that knows the script, or a refusal."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult
from concilium.workers.vision import rapid, script, tesseract
from concilium.workers.vision.decode import open_image
from concilium.workers.vision.page import Reading, Tools, read_page
from concilium.workers.vision.pool import on_thread

CODES = {"en": "eng", "ru": "rus", "de": "deu", "fr": "fra", "es": "spa", "it": "ita", "pl": "pol", "uk": "ukr"}
"""Two-letter codes and tesseract's own."""
PAGES_AT_ONCE = 2


@dataclass(frozen=True)
class Page:
    """A page of a run: what was read, or why it was not."""

    name: str
    width: int = 0
    height: int = 0
    reading: Reading | None = None
    notes: tuple[str, ...] = ()
    failure: SkillFailed | None = None

    @property
    def text(self) -> str:
        return self.reading.text if self.reading else ""

    @property
    def language(self) -> str:
        return "ru" if script.cyrillic_share(self.text) > 0.5 else "en"

    @property
    def said(self) -> list[str]:
        """Notes about the file and about its reading."""
        return [*self.notes, *(self.reading.notes if self.reading else ())]


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Load the bundled reader's models and the script's model once."""
    if rapid.present():
        await on_thread(rapid.warm, int(settings.get("threads", 2)))
    script.model()


async def ocr(ctx: SkillContext, data: JSON) -> SkillResult:
    """Read the text of ``image``, or of each of ``images``.

    Raises:
        SkillFailed: as `open_image` and `read_page`; of several pages the first one's failure, when all fail.
    """
    tools = await _tools(ctx)
    asked = tuple(dict.fromkeys(CODES.get(code, code) for code in data.get("languages", [])))
    if "image" in data:
        return SkillResult(_one(await _read(ctx, data["image"], asked, tools), with_words=data.get("words", True)))
    return SkillResult(
        _several(await _read_all(ctx, data["images"], asked, tools), with_words=data.get("words", False))
    )


async def _tools(ctx: SkillContext) -> Tools:
    limit_s = min(float(ctx.settings.get("tesseract_timeout_s", 60)), ctx.deadline_s)
    return Tools(await tesseract.languages(), limit_s, int(ctx.settings.get("threads", 2)))


async def _read(ctx: SkillContext, ref: JSON, asked: tuple[str, ...], tools: Tools) -> Page:
    found = await open_image(ctx.files[ref["sha256"]], ref["media_type"])
    width, height = found.image.size
    await ctx.progress(None, f"{ref['name']}: {width} x {height} pixels")
    reading = await read_page(found.image, asked, tools)
    return Page(ref["name"], width, height, reading, found.notes)


async def _read_all(ctx: SkillContext, refs: Sequence[JSON], asked: tuple[str, ...], tools: Tools) -> list[Page]:
    """Read pages, two at a time; one that cannot be read does not stop the others."""
    gate, done = asyncio.Semaphore(PAGES_AT_ONCE), 0

    async def one(ref: JSON) -> Page:
        nonlocal done
        async with gate:
            try:
                page = await _read(ctx, ref, asked, tools)
            except SkillFailed as failure:
                page = Page(ref["name"], failure=failure)
        done += 1
        await ctx.progress(done / len(refs), f"page {done} of {len(refs)}: {page.name}")
        return page

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(ref)) for ref in refs]
    pages = [task.result() for task in tasks]
    failures = [page.failure for page in pages if page.failure is not None]
    if len(failures) == len(pages):
        raise failures[0]
    return pages


def _one(page: Page, *, with_words: bool) -> dict[str, JSON]:
    """Return the output for a single image: the page's own, beside the list of it alone."""
    known = _page_json(page, 0)
    return {
        **_whole([page], with_words=with_words),
        "width": page.width,
        "height": page.height,
        "rotation": known["rotation"],
    }


def _several(pages: Sequence[Page], *, with_words: bool) -> dict[str, JSON]:
    """Return the output for several: width and height are the largest page's."""
    size = {"width": max(page.width for page in pages), "height": max(page.height for page in pages)}
    return {**_whole(pages, with_words=with_words), **size}


def _whole(pages: Sequence[Page], *, with_words: bool) -> dict[str, JSON]:
    read = [(number, page, page.reading) for number, page in enumerate(pages) if page.reading is not None]
    largest = max((page for _, page, _ in read), key=lambda page: len(page.text))
    several = len(pages) > 1
    lines = [(number, line) for number, _, reading in read for line in reading.lines]
    whole: dict[str, JSON] = {
        "text": "\n\n".join(page.text for _, page, _ in read if page.text),
        "lines": [{**line.as_json(), "page": number} for number, line in lines],
        "tables": [{**t.as_json(), "page": number} for number, _, reading in read for t in reading.tables],
        "language": largest.language,
        "engine": read[0][2].engine,
        "notes": [f"{page.name}: {note}" if several else note for page in pages for note in _said(page)],
        "pages": [_page_json(page, number) for number, page in enumerate(pages)],
    }
    if with_words:
        whole["words"] = [
            {**word.as_json(), "line": place} for place, (_, line) in enumerate(lines) for word in line.words
        ]
    return whole


def _said(page: Page) -> list[str]:
    return [f"not read: {page.failure}"] if page.failure else page.said


def _page_json(page: Page, number: int) -> dict[str, JSON]:
    reading = page.reading
    return {
        "name": page.name,
        "text": page.text,
        "width": page.width,
        "height": page.height,
        "language": page.language if reading else None,
        "rotation": reading.rotation if reading else 0,
        "lines": [line.as_json() for line in reading.lines] if reading else [],
        "tables": [{**table.as_json(), "page": number} for table in reading.tables] if reading else [],
        "notes": page.said,
        "error": str(page.failure) if page.failure else None,
    }
