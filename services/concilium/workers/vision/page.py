"""Reads one page: the engine that knows its script, the right way up; its lines in order and its tables as tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from PIL import Image

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision import columns, layout, rapid, script, tables, tesseract
from concilium.workers.vision.clarity import readied
from concilium.workers.vision.lines import Line, line_of, sureness
from concilium.workers.vision.photo import Levelled, levelled
from concilium.workers.vision.pool import on_thread
from concilium.workers.vision.sheet import Sheet
from concilium.workers.vision.tables import Table

GET_RUSSIAN = "apt-get install -y tesseract-ocr tesseract-ocr-rus"
ASK_RUSSIAN = 'ask with languages ["ru"], or leave languages out'
STRAY_CYRILLIC = 0.1
"""A page with a larger part of its letters Cyrillic is not an English one with misread letters."""
FEW = 0.2
"""A page with a smaller part of its letters in the other script is looked at twice."""
GOOD = 0.75
"""A reading this sure needs no second look. Text read upside down, or of a script not known, gives 0.2 to 0.6."""
POOR = 0.45
"""On a sharp page, lines less sure are of another script, or no text."""
SCRIPT_SURE = 1.0
"""Tesseract's confidence in a page's script from which it is believed."""
KNOWN_SCRIPTS = frozenset({"Latin", "Cyrillic", "Fraktur"})
SMALL_TEXT = 20
"""Lines lower than this, in pixels, the bundled reader reads again on an enlarged page."""
ENLARGED_PIXELS = 12_000_000


@dataclass(frozen=True)
class Tools:
    """What there is to read with."""

    here: frozenset[str]
    """Tesseract's languages."""
    limit_s: float
    """For one run of tesseract."""
    threads: int
    """Of the bundled reader."""


@dataclass(frozen=True)
class Reading:
    """What was read on a page; boxes in pixels of the image as it was given."""

    engine: str
    lines: list[Line]
    tables: list[Table]
    rotation: int
    """Degrees clockwise by which the image was turned to be read: 0, 90, 180 or 270."""
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True)
class _Draft:
    """A reading on its sheet."""

    sheet: Sheet
    lines: list[Line]
    grids: list[tables.Grid]
    quarters: int

    @property
    def sureness(self) -> float:
        return sureness(self.lines)

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


async def read_page(image: Image.Image, asked: tuple[str, ...], tools: Tools) -> Reading:
    """Choose the engine: tesseract where it has the languages, which errs less; else the bundled reader for Latin.

    Raises:
        SkillFailed: ``unsupported_script``, ``unsupported-language``, ``no-engine``, ``ocr-timeout``, ``ocr-failed``.
    """
    page = await on_thread(levelled, image)
    here = tools.here
    if asked not in ((), ("eng",)):
        _require(asked, here)
        return await _by_tesseract(page, asked, tools)
    if here >= {"eng", "rus"}:
        return await _by_tesseract(page, ("rus", "eng"), tools, english=bool(asked))
    if not rapid.present():
        raise SkillFailed("no-engine", "no reader of text; run: pip install 'concilium[vision]'")
    draft = await _bundled(page, tools.threads)
    if script.judge(draft.lines).cyrillic:
        if "rus" in here and not asked:
            return await _by_tesseract(page, ("rus",), tools)
        raise SkillFailed("unsupported_script", f"the page is not in Latin script but probably Cyrillic; {_how(here)}")
    if "eng" in here:
        return await _by_tesseract(page, ("eng",), tools)
    sure = [line for line in draft.lines if line.confidence >= rapid.CONFIDENCE_MIN]
    return _reading(rapid.NAME, replace(draft, lines=layout.arrange(sure)), page)


def _how(here: frozenset[str]) -> str:
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


async def _by_tesseract(page: Levelled, wanted: tuple[str, ...], tools: Tools, *, english: bool = False) -> Reading:
    """Read the page; ``english`` when it was called so although both languages are looked for."""
    draft = await _right_way_up(page, wanted, tools)
    if draft.lines and draft.sureness < GOOD:
        await _check_script(draft, wanted, tools)
    if len(wanted) > 1:
        draft = await _settled(draft, tools, english=english)
    draft = await _with_missed_cells(draft, wanted, tools)
    known, notes = _without_doubtful(draft.lines)
    reading = _reading(tesseract.NAME, replace(draft, lines=known), page)
    return replace(reading, notes=(*reading.notes, *notes))


async def _settled(draft: _Draft, tools: Tools, *, english: bool) -> _Draft:
    """Read a page that is nearly all in one script again in that alone: letters of the other are often misread ones.

    Lone letters are all taken for misread; a word is what the surer of the two readings says it is.
    """
    share = script.cyrillic_share(draft.text)
    if english and share > STRAY_CYRILLIC:
        raise SkillFailed("unsupported_script", f"the page is Cyrillic, at least in part; {ASK_RUSSIAN}")
    if share in (0, 1) or min(share, 1 - share) > FEW:
        return draft
    main = "rus" if share > 0.5 else "eng"
    alone = await tesseract.read(draft.sheet.grey, (main,), tools.limit_s)
    words = script.has_latin_words(draft.text) if main == "rus" else script.has_cyrillic_words(draft.text)
    if english or not words:
        return replace(draft, lines=alone)
    others = [word for line in alone for word in line.words]
    return replace(draft, lines=[script.arbitrated(line, others, cyrillic=main == "rus") for line in draft.lines])


async def _right_way_up(page: Levelled, wanted: tuple[str, ...], tools: Tools) -> _Draft:
    """Read the page; when the reading is poor, also upside down, and on its sides too where its lines are not clear."""
    best = await _draft(page.sheet, 0, wanted, tools)
    for quarters in (2,) if page.slant.clear else (2, 1, 3):
        if best.sureness >= GOOD:
            break
        other = await _draft(page.sheet, quarters, wanted, tools)
        best = max(best, other, key=_worth)
    if best.sureness < GOOD and page.raw is not None:
        turned = page.raw.turned(page.quarters)
        best = max(best, await _draft(turned, best.quarters, wanted, tools), key=_worth)
    return best


def _worth(draft: _Draft) -> float:
    """Return how much to prefer a reading: its sureness, and less of it where there is hardly any text."""
    return draft.sureness * min(100, sum(len(line.text) for line in draft.lines))


async def _draft(sheet: Sheet, quarters: int, wanted: tuple[str, ...], tools: Tools) -> _Draft:
    plain, grids = await on_thread(lambda: tables.ruled(readied(sheet.turned(quarters))))
    return _Draft(plain, await tesseract.read(plain.grey, wanted, tools.limit_s), grids, quarters)


async def _check_script(draft: _Draft, wanted: tuple[str, ...], tools: Tools) -> None:
    """Refuse a page of another script: what was read of it would be look-alikes."""
    found = await tesseract.script_of(draft.sheet.grey, tools.limit_s) if "osd" in tools.here else None
    names = ", ".join(wanted)
    if found and found.name not in KNOWN_SCRIPTS and found.confidence >= SCRIPT_SURE:
        detail = f"the page is in {found.name} script, it seems; what was to be read is {names}"
        raise SkillFailed("unsupported_script", detail)
    if draft.sureness < POOR:
        detail = f"no reader is sure of a line of the page: not {names}, or too blurred, or handwriting"
        raise SkillFailed("unsupported_script", detail)


async def _with_missed_cells(draft: _Draft, wanted: tuple[str, ...], tools: Tools) -> _Draft:
    """Read ruled tables again, as one block, where cells with ink stayed empty: single digits are often passed over."""
    lines = draft.lines
    for grid in draft.grids:
        words = [word for line in lines for word in line.words]
        missed = tables.unread_cells(grid, draft.sheet.grey, words)
        if not missed:
            continue
        x, y, width, height = grid.box
        part = draft.sheet.grey[y : y + height, x : x + width]
        again = await tesseract.read(part.copy(), wanted, tools.limit_s, tesseract.BLOCK)
        moved = [replace(word, x=word.x + x, y=word.y + y) for line in again for word in line.words]
        lines = [*lines, *(line_of([word]) for word in moved if grid.cell_of(word) in missed)]
    return replace(draft, lines=lines)


def _without_doubtful(lines: Sequence[Line]) -> tuple[list[Line], tuple[str, ...]]:
    """Drop lines nobody is sure of from a page that else was read well: pictures, handwriting, another script."""
    if sureness(lines) < GOOD:
        note = ("the reader is not sure of much of this page",) if lines else ()
        return list(lines), note
    known = [line for line in lines if line.confidence >= POOR]
    left = len(lines) - len(known)
    words = "line was" if left == 1 else "lines were"
    return known, (f"{left} {words} left out: no reader is sure of them",) if left else ()


async def _bundled(page: Levelled, threads: int) -> _Draft:
    """Read by the bundled reader; when its text turns out small, once more at twice the size, the surer one kept."""
    sheet, grids = await on_thread(tables.ruled, page.sheet)
    lines = await on_thread(rapid.read, _rgb(sheet), threads)
    small = not lines or median(line.height for line in lines) < SMALL_TEXT
    if small and 4 * sheet.width * sheet.height <= ENLARGED_PIXELS:
        again = [n.scaled(0.5) for n in await on_thread(lambda: rapid.read(_rgb(sheet.scaled(2)), threads))]
        lines = max(lines, again, key=lambda read: sum(len(line.text) * line.confidence for line in read))
    return _Draft(sheet, lines, grids, 0)


def _rgb(sheet: Sheet) -> Image.Image:
    return Image.fromarray(sheet.grey).convert("RGB")


def _reading(engine: str, draft: _Draft, page: Levelled) -> Reading:
    """Return the draft with its tables, in places of the given image."""
    lines = [script.unified(line) for line in draft.lines]
    blocks: list[tuple[Table, list[Line]]] = []
    for grid in draft.grids:
        table, rows, lines = tables.fill(grid, lines)
        blocks.append((table, rows))
    free, lines = columns.tables_in(lines)
    blocks = sorted([*blocks, *free], key=lambda block: block[0].box[1])
    for table, rows in blocks:
        lines = layout.with_block(lines, rows, table.box)
    found = [replace(table, box=draft.sheet.given_box(*table.box)) for table, _ in blocks]
    rotation = 90 * ((page.quarters + draft.quarters) % 4)
    notes = (*page.notes, *((f"the image was turned by {rotation}° to be read",) if rotation else ()))
    return Reading(engine, [draft.sheet.given_line(line) for line in lines], found, rotation, notes)
