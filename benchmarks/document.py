"""Measures how long documents take to read and what memory their reader needs: ``python -m benchmarks.document``.

Each document is written here, read by the agent's own reader in its own process, and measured there: pages, seconds by
the clock and of the processor, resident memory at its highest (with what the process shares with its server).
"""

import argparse
import asyncio
import io
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import openpyxl
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the writer of documents is the tests' own

from concilium.workers.document.cell import read_document
from concilium.workers.document.found import Page, Usage
from concilium.workers.document.source import Source, Wanted
from support.documents import Pdf, PdfPage, grid, scan_page, text_page

LINE = "The quick brown fox jumps over the lazy dog while seven wizards box five quiet monks in the old tower"


@dataclass(frozen=True)
class Measured:
    """What reading one document took."""

    name: str
    size: int
    pages: int
    wall_s: float
    usage: Usage


def text_pdf(pages: int) -> bytes:
    """Return pages of 45 lines, about 5,000 characters each."""
    return Pdf([text_page([f"Page {i}, line {j}. {LINE}" for j in range(45)]) for i in range(pages)]).bytes()


def table_pdf(pages: int) -> bytes:
    """Return pages with a ruled table of 30 rows and 4 columns each."""
    rows = [[f"Item {i}", f"{i}.20", str(i), "a remark"] for i in range(30)]
    return Pdf([PdfPage(grid(72, 780, [120, 80, 60, 150], rows)) for _ in range(pages)]).bytes()


def scanned_pdf(pages: int) -> bytes:
    """Return scanned pages of A4 at 150 dpi."""
    pdf = Pdf()
    pdf.pages = [scan_page(pdf, [f"{LINE[:50]} {i}"] * 20) for i in range(pages)]
    return pdf.bytes()


def workbook(rows: int) -> bytes:
    """Return a sheet of ten columns."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Rows")
    for row in range(rows):
        sheet.append([f"text {row}", *[row * column / 7 for column in range(9)]])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


async def measure(name: str, data: bytes, wanted: Wanted, told: Callable[[float], None]) -> Measured:
    """Read a document to its end."""
    began, pages, usage = time.monotonic(), 0, Usage(cpu_s=0, peak_mib=0)
    async with aclosing(read_document(Source(data, wanted))) as messages:
        async for said, _ in messages:
            if isinstance(said, Page):
                pages += 1
                told(pages)
            elif isinstance(said, Usage):
                usage = said
    return Measured(name, len(data), pages, time.monotonic() - began, usage)


async def measure_all(scale: float) -> list[Measured]:
    """Measure every kind of document; a scale of 1 means 500 pages."""
    pages, scans, rows = max(1, round(500 * scale)), max(1, round(60 * scale)), max(1, round(30_000 * scale))
    jobs: tuple[tuple[str, Callable[[], bytes], str], ...] = (
        ("nothing but its process", lambda: b"text", "a.txt"),
        (f"PDF, {pages} pages of text", lambda: text_pdf(pages), "a.pdf"),
        (f"PDF, {pages} pages with a table each", lambda: table_pdf(pages), "a.pdf"),
        (f"PDF, {scans} scanned pages, drawn", lambda: scanned_pdf(scans), "a.pdf"),
        (f"XLSX, {rows} rows of 10", lambda: workbook(rows), "a.xlsx"),
    )
    await measure("warm up", b"text", Wanted(name="a.txt"), lambda _: None)
    found = []
    with Progress(console=Console(stderr=True)) as progress:
        for name, make, file in jobs:
            bar = progress.add_task(name, total=None)
            data = make()
            told = lambda done, bar=bar: progress.update(bar, completed=done)  # noqa: E731 - one line of a loop
            found.append(await measure(name, data, Wanted(name=file), told))
            progress.update(bar, total=1, completed=1)
    return found


def table_of(found: Sequence[Measured]) -> Table:
    """Return the measurements as a table."""
    table = Table(title="Reading documents")
    for column in ("document", "MiB", "pages", "seconds", "CPU s", "ms CPU a page", "peak MiB"):
        table.add_column(column, justify="left" if column == "document" else "right")
    for one in found:
        each = 1000 * one.usage.cpu_s / max(1, one.pages)
        table.add_row(
            one.name,
            f"{one.size / 2**20:.1f}",
            str(one.pages),
            f"{one.wall_s:.2f}",
            f"{one.usage.cpu_s:.2f}",
            f"{each:.1f}",
            f"{one.usage.peak_mib:.0f}",
        )
    return table


def main(arguments: Sequence[str]) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="1 means 500 pages, 60 scans and 30,000 rows")
    found = asyncio.run(measure_all(parser.parse_args(arguments).scale))
    Console().print(table_of(found))


if __name__ == "__main__":
    main(sys.argv[1:])
