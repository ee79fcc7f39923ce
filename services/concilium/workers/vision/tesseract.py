"""The system's reader, tesseract, as a child process: many languages, where their data is installed."""

import asyncio
import csv
import io
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass

from concilium.workers.runtime.process import kill, start_process
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision.lines import Line, Word, line_of
from concilium.workers.vision.sheet import Grey

NAME = "tesseract"
LIST_TIMEOUT_S = 10.0
AUTOMATIC, BLOCK = 3, 6
"""Tesseract's page segmentation modes: find columns and blocks, or take all as one block of lines."""
_SCRIPT = re.compile(rb"Script: (\w+)\s+Script confidence: ([\d.]+)")


@dataclass(frozen=True, slots=True)
class Script:
    """What tesseract holds a page's script for, by the names of ISO 15924 in English: Latin, Greek, …"""

    name: str
    confidence: float
    """From 0; above 1 it is seldom wrong."""


async def languages() -> frozenset[str]:
    """Return the codes of the installed languages; empty without tesseract."""
    program = shutil.which(NAME)
    if program is None:
        return frozenset()
    child = await _start(program, "--list-langs")
    try:
        out = await _finish(child, LIST_TIMEOUT_S)
    except SkillFailed:
        return frozenset()
    return frozenset(out.decode(errors="replace").splitlines()[1:])


async def read(grey: Grey, wanted: tuple[str, ...], timeout_s: float, mode: int = AUTOMATIC) -> list[Line]:
    """Return the lines in tesseract's reading order.

    Raises:
        SkillFailed: ``ocr-timeout``, or ``ocr-failed`` when tesseract does not end well.
    """
    arguments = ("-", "-", "-l", "+".join(wanted), "--psm", str(mode), "tsv")
    child = await _start(_program(), *arguments)
    return lines_of((await _finish(child, timeout_s, _pnm(grey))).decode(errors="replace"))


async def script_of(grey: Grey, timeout_s: float) -> Script | None:
    """Return the page's script; None where there is too little text to tell, or no data for it."""
    child = await _start(_program(), "-", "-", "--psm", "0")
    try:
        found = _SCRIPT.search(await _finish(child, timeout_s, _pnm(grey)))
    except SkillFailed as error:
        if error.problem.type == "ocr-timeout":
            raise
        return None
    return Script(found[1].decode(), float(found[2])) if found else None


def _program() -> str:
    program = shutil.which(NAME)
    if program is None:
        raise SkillFailed("ocr-failed", "tesseract is gone", retryable=True)
    return program


def _pnm(grey: Grey) -> bytes:
    """Return the page in the portable grey map format, which costs no time to pack."""
    return b"P5\n%d %d\n255\n" % (grey.shape[1], grey.shape[0]) + grey.tobytes()


async def _start(program: str, *args: str) -> Process:
    # One thread each: several runs share the processor, and tesseract's own threads gain little.
    environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    return await start_process(program, *args, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environ)


async def _finish(child: Process, timeout_s: float, said: bytes = b"") -> bytes:
    """Return what the child printed; it never outlives the call, whether it ends in time, late or by a cancel."""
    try:
        async with asyncio.timeout(timeout_s):
            # uvloop refuses to write to a child that has ended: one that is told nothing is not written to.
            out, _ = await child.communicate(said or None)
    except RuntimeError as error:
        raise SkillFailed("ocr-failed", "tesseract ended before it read the page", retryable=True) from error
    except TimeoutError as error:
        raise SkillFailed("ocr-timeout", f"tesseract took more than {timeout_s:.0f} s", retryable=True) from error
    finally:
        await kill(child)
    if child.returncode:
        raise SkillFailed("ocr-failed", f"tesseract ended with {child.returncode}")
    return out


def lines_of(tsv: str) -> list[Line]:
    """Return the lines of tesseract's table of words."""
    found: dict[tuple[str, ...], list[Word]] = {}
    for row in csv.DictReader(io.StringIO(tsv), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == "5" and row["text"].strip():
            found.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(_word(row))
    return [line_of(words) for words in found.values()]


def _word(row: dict[str, str]) -> Word:
    confidence = max(0.0, float(row["conf"]) / 100)
    return Word(
        row["text"].strip(), int(row["left"]), int(row["top"]), int(row["width"]), int(row["height"]), confidence
    )
