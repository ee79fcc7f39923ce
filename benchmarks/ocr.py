"""Measures the readers on drawn pages: ``python -m benchmarks.ocr [--pages 20]``.

English and Russian pages, half clean and half skewed, blurred and grainy, in faces and sentences the script detector
never learnt from. Prints the share of wrong characters (edit distance over length, white space of any kind counted as
one blank), seconds a page, the memory of this process (the bundled reader's, not tesseract's), and how often the
detector refuses. Nothing is asserted.
"""

import argparse
import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import mean

import numpy
from benchmarks import ocr_pages, ocr_texts
from PIL import Image
from rich.console import Console
from rich.table import Table

from concilium.workers.vision import layout, rapid, script, tesseract
from concilium.workers.vision.lines import Line
from concilium.workers.vision.ocr import zoomed
from concilium.workers.vision.pool import on_thread

THREADS = 2
SIZES = (14, 18, 24, 32)
ROWS = 12
Reader = Callable[[Image.Image], Awaitable[list[Line]]]


def wrong_characters(told: str, true: str) -> float:
    """Return the edit distance over the true text's length."""
    told, true = " ".join(told.split()), " ".join(true.split())
    codes = numpy.array([ord(c) for c in told])
    row = numpy.arange(len(told) + 1)
    for number, character in enumerate(true, start=1):
        above = numpy.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        row = numpy.concatenate(([number], above))
        # What is left of a cell may be nearer: a running minimum of value minus position.
        row = numpy.minimum.accumulate(row - numpy.arange(len(row))) + numpy.arange(len(row))
    return float(row[-1]) / max(1, len(true))


def pages(sentences: Sequence[str], count: int, chance: random.Random) -> list[ocr_pages.Page]:
    """Draw pages; every second one is spoilt."""
    fonts = ocr_pages.present(ocr_pages.HELD_OUT_FONTS) or ocr_pages.present(ocr_pages.TRAIN_FONTS)
    return [
        ocr_pages.draw(
            chance.sample(sentences, ROWS),
            fonts[number // 2 % len(fonts)],
            SIZES[number // 2 % len(SIZES)],
            noise=chance if number % 2 else None,
        )
        for number in range(count)
    ]


async def read_rapid(image: Image.Image) -> list[Line]:
    """Read as ``vision.ocr`` does when tesseract is not wanted."""
    lines = await zoomed(image, lambda page: on_thread(rapid.read, page, THREADS))
    return layout.arrange([line for line in lines if line.confidence >= rapid.CONFIDENCE_MIN])


def read_tesseract(*languages: str) -> Reader:
    """Return a reader by tesseract in these languages."""

    async def read(image: Image.Image) -> list[Line]:
        with tempfile.TemporaryDirectory() as folder:
            return await zoomed(image, lambda page: tesseract.read(page, languages, Path(folder), 60))

    return read


async def judged(drawn: Sequence[ocr_pages.Page]) -> list[bool]:
    """Return for each page whether the detector calls it Cyrillic."""
    return [script.judge(await on_thread(rapid.read, page.image, THREADS)).cyrillic for page in drawn]


async def measure(table: Table, name: str, reader: Reader, language: str, drawn: Sequence[ocr_pages.Page]) -> None:
    """Add one engine's row."""
    errors: dict[bool, list[float]] = {False: [], True: []}
    began = time.perf_counter()
    for page in drawn:
        lines = await reader(page.image)
        errors[page.noisy].append(wrong_characters("\n".join(line.text for line in lines), "\n".join(page.lines)))
    seconds = (time.perf_counter() - began) / len(drawn)
    table.add_row(name, language, f"{mean(errors[False]):.1%}", f"{mean(errors[True]):.1%}", f"{seconds:.2f}")


async def main() -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=20, help="of each language")
    options = parser.parse_args()
    chance = random.Random(7)
    drawn = {
        "English": pages(ocr_texts.ENGLISH, options.pages, chance),
        "Russian": pages(ocr_texts.RUSSIAN, options.pages, chance),
    }
    here = await tesseract.languages()
    readers: list[tuple[str, Reader, str]] = [("rapidocr", read_rapid, "English")]
    if "eng" in here:
        readers.append(("tesseract eng", read_tesseract("eng"), "English"))
    if "rus" in here:
        readers += [("tesseract rus", read_tesseract("rus"), "Russian")]
    if {"eng", "rus"} <= here:
        readers += [("tesseract rus+eng", read_tesseract("rus", "eng"), language) for language in drawn]
    table = Table("engine", "pages", "wrong, clean", "wrong, noisy", "s a page")
    for name, reader, language in readers:
        await measure(table, name, reader, language, drawn[language])
    console = Console()
    console.print(table)
    for language, known in drawn.items():
        refused = await judged(known)
        console.print(f"{language}: {sum(refused)} of {len(refused)} pages judged Cyrillic")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    console.print(f"memory of this process at most: {own} MB")


if __name__ == "__main__":
    asyncio.run(main())
