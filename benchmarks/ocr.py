"""Measures ``vision.ocr`` beside plain tesseract and plain RapidOCR: ``python -m benchmarks.ocr [--pages 208]``.

Pages of a few lines are drawn in English and in Russian, clean and with noise, skew, blur and JPEG damage at three
strengths each, always the same ones, and read three times: by the skill's own reading (which is told nothing), by the
``tesseract`` command told the page's language, and by ``RapidOCR()`` as it comes. Prints character error rates
(`benchmarks.cer`) by language and condition. Nothing is asserted.

What was read is kept in ``build/ocr-benchmark``: a run that was broken off goes on where it stopped, and a reading
whose source did not change is not made again.
"""

import argparse
import asyncio
import hashlib
import inspect
import io
import json
import os
import platform
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
from benchmarks import cer, ocr_pages, ocr_texts
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision import page as vision_page
from concilium.workers.vision import tesseract

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "ocr-benchmark"
SOURCES = (
    *("clarity", "columns", "layout", "lines", "page", "photo"),
    *("script", "sheet", "slant", "tables", "tesseract"),
)
"""The modules that decide what ``vision.ocr`` reads here."""
FONTS = (
    *("LiberationSerif-Regular", "LiberationSans-Regular", "DejaVuSans", "DejaVuSerif"),
    *("LiberationSerif-Italic", "LiberationSans-Bold", "LiberationMono-Regular", "DejaVuSansCondensed"),
)
SIZES = (20, 24, 28, 32)
ROWS = 5
SEED = 2026
LANGUAGES = {"English": ocr_texts.MEASURED_ENGLISH, "Russian": ocr_texts.MEASURED_RUSSIAN}
CODES = {"English": "eng", "Russian": "rus"}
OURS, TESSERACT, RAPID = "vision.ocr", "tesseract", "rapidocr"


@dataclass(frozen=True, slots=True)
class Job:
    """A page by what makes it; drawn when it is read."""

    language: str
    number: int

    @property
    def condition(self) -> ocr_pages.Condition:
        return ocr_pages.CONDITIONS[self.number % len(ocr_pages.CONDITIONS)]

    def drawn(self) -> tuple[Image.Image, str]:
        """Return the page and what is written on it."""
        chance = random.Random(f"{SEED} {self.language} {self.number}")
        fonts = ocr_pages.present(FONTS)
        lines = [
            line.format(
                n=chance.randint(100, 99_999), m=chance.randint(10, 99), k=chance.randint(2, 90),
                d=chance.randint(1, 28), y=chance.randint(1950, 2030),
            )
            for line in chance.sample(LANGUAGES[self.language], ROWS)
        ]  # fmt: skip
        turn = self.number // len(ocr_pages.CONDITIONS)
        clean = ocr_pages.draw(lines, fonts[turn % len(fonts)], SIZES[turn // 2 % len(SIZES)])
        return ocr_pages.damaged(clean.image, self.condition, chance), cer.normal(" ".join(lines))


@dataclass(frozen=True, slots=True)
class Result:
    """How one reader did on one page."""

    errors: int
    length: int
    seconds: float
    refused: bool


Reader = Callable[[Image.Image, str], Awaitable[str]]


async def by_skill(image: Image.Image, _language: str) -> str:
    """Read as ``vision.ocr`` does. Raises `SkillFailed` when it refuses."""
    tools = vision_page.Tools(await _installed(), limit_s=120, threads=1)
    return (await vision_page.read_page(image, (), tools)).text


async def by_tesseract(image: Image.Image, language: str) -> str:
    """Read by the command alone, told the language."""
    packed = io.BytesIO()
    image.save(packed, "PNG")
    command = ("tesseract", "-", "-", "-l", CODES[language])
    environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environ
    )
    out, _ = await child.communicate(packed.getvalue())
    return out.decode()


async def by_rapid(image: Image.Image, _language: str) -> str:
    """Read by the library as it comes."""
    return await asyncio.to_thread(_rapid_text, numpy.asarray(image)[:, :, ::-1])


_rapid_lock = threading.Lock()


def _rapid_text(pixels: Any) -> str:
    with _rapid_lock:
        found, _ = _rapid()(pixels)
    return "\n".join(text for _, text, _ in found or [])


@cache
def _rapid() -> Any:
    from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415 - takes a second, not needed to print help

    return RapidOCR(intra_op_num_threads=1)


_known: list[frozenset[str]] = []


async def _installed() -> frozenset[str]:
    if not _known:
        _known.append(await tesseract.languages())
    return _known[0]


READERS: dict[str, Reader] = {OURS: by_skill, TESSERACT: by_tesseract, RAPID: by_rapid}


class Kept:
    """Results by page and reader, in a file of lines that grows as they come."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "results.jsonl"
        self._marks = {name: _mark(name) for name in READERS}
        self._known: dict[str, Result] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for line in self._path.read_text().splitlines() if self._path.is_file() else []:
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = Result(**entry["result"])
            except (ValueError, KeyError, TypeError):
                continue  # a line cut short when a run was broken off

    def get(self, job: Job, reader: str) -> Result | None:
        """Return what is known."""
        return self._known.get(self._key(job, reader))

    def put(self, job: Job, reader: str, result: Result) -> None:
        """Keep a result."""
        self._known[self._key(job, reader)] = result
        with self._path.open("a") as file:
            file.write(json.dumps({"key": self._key(job, reader), "result": asdict(result)}) + "\n")

    def _key(self, job: Job, reader: str) -> str:
        return f"{reader} {self._marks[reader]} {job.language} {job.number}"


def _mark(reader: str) -> str:
    """Return what changes when a reader or the pages may read otherwise."""
    room = ROOT / "services" / "concilium" / "workers" / "vision"
    files = [ROOT / "benchmarks" / "ocr_pages.py", ROOT / "benchmarks" / "ocr_texts.py"]
    files += [room / f"{name}.py" for name in SOURCES] if reader == OURS else []
    parts = [*(path.read_text() for path in files), inspect.getsource(Job), inspect.getsource(READERS[reader])]
    known = "".join([*parts, repr((FONTS, SIZES, ROWS, SEED)), _tesseract_version(), version("rapidocr-onnxruntime")])
    return hashlib.sha256(known.encode()).hexdigest()[:12]


@cache
def _tesseract_version() -> str:
    if shutil.which("tesseract") is None:
        return "no tesseract"
    return subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]


async def measure(job: Job, name: str) -> Result:
    """Read one page by one reader."""
    image, true = await asyncio.to_thread(job.drawn)
    began = time.perf_counter()
    try:
        told, refused = cer.normal(await READERS[name](image, job.language)), False
    except SkillFailed:
        told, refused = "", True
    seconds = time.perf_counter() - began
    return Result(cer.edits(told, true), len(true), round(seconds, 3), refused)


async def run(jobs: Sequence[Job], names: Sequence[str], kept: Kept, console: Console, at_once: int) -> None:
    """Read what is not known yet, so many pages at a time."""
    missing = [(job, name) for job in jobs for name in names if kept.get(job, name) is None]
    bar = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*bar, console=console) as progress:
        shown = progress.add_task("reading", total=len(jobs) * len(names))
        progress.advance(shown, len(jobs) * len(names) - len(missing))
        rest = iter(missing)

        async def work() -> None:
            for job, name in rest:
                kept.put(job, name, await measure(job, name))
                progress.advance(shown)

        await asyncio.gather(*(work() for _ in range(at_once)))


def rows(jobs: Sequence[Job], kept: Kept) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows: language, condition, pages, characters, the three rates, and pages that were refused."""
    for language in LANGUAGES:
        for condition in (*ocr_pages.CONDITIONS, None):
            chosen = [job for job in jobs if job.language == language and condition in (job.condition, None)]
            known = {name: [r for job in chosen if (r := kept.get(job, name))] for name in READERS}
            rates = {name: cer.rate([(r.errors, r.length) for r in found]) for name, found in known.items()}
            best = min(rates.values())
            yield (
                language,
                "all" if condition is None else str(condition),
                str(len(chosen)),
                str(sum(r.length for r in known[OURS])),
                *(f"{rate:.1%}" + ("*" if rate == best else "") for rate in rates.values()),
                str(sum(r.refused for r in known[OURS])),
            )


def report(jobs: Sequence[Job], kept: Kept, console: Console) -> None:
    """Print the table, and what it was measured on."""
    table = Table("language", "condition", "pages", "letters", *READERS, "refused", title="Character error rate")
    for row in rows(jobs, kept):
        table.add_row(*row, end_section=row[1] in ("clean", "all"))
    console.print(table)
    for name in READERS:
        seconds = [r.seconds for job in jobs if (r := kept.get(job, name))]
        console.print(f"{name}: {sum(seconds) / len(seconds):.2f} s a page", highlight=False)
    console.print(
        f"* the best of the row. {time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} processors "
        f"({platform.machine()}), {_tesseract_version()}, rapidocr-onnxruntime {version('rapidocr-onnxruntime')}; "
        f"fonts: {', '.join(ocr_pages.present(FONTS))}; letters {min(SIZES)} to {max(SIZES)} px; seed {SEED}",
        highlight=False,
    )


async def main() -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=208, help="of each language; a multiple of 13 spreads them evenly")
    parser.add_argument("--reader", action="append", choices=list(READERS), help="read by these only, print no table")
    parser.add_argument("--at-once", type=int, default=2, help="pages read at the same time")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where readings are kept")
    options = parser.parse_args()
    console = Console(width=None if os.isatty(1) else 130)
    jobs = [Job(language, number) for number in range(options.pages) for language in LANGUAGES]
    kept = Kept(options.kept)
    await run(jobs, options.reader or list(READERS), kept, console, options.at_once)
    if not options.reader:
        report(jobs, kept, console)


if __name__ == "__main__":
    asyncio.run(main())
