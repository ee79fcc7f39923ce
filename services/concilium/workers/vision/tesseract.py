"""The system's reader, tesseract, as a child process: many languages, where their data is installed."""

import asyncio
import csv
import io
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from PIL import Image

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision.lines import Line
from concilium.workers.vision.pool import on_thread

NAME = "tesseract"
LIST_TIMEOUT_S = 10.0


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


async def read(image: Image.Image, wanted: tuple[str, ...], workdir: Path, timeout_s: float) -> list[Line]:
    """Return the lines in tesseract's reading order.

    Raises:
        SkillFailed: ``ocr-timeout``, or ``ocr-failed`` when tesseract does not end well.
    """
    program = shutil.which(NAME)
    if program is None:
        raise SkillFailed("ocr-failed", "tesseract is gone", retryable=True)
    path = workdir / "page.png"
    await on_thread(lambda: image.save(path, compress_level=1))
    child = await _start(program, str(path), "-", "-l", "+".join(wanted), "--dpi", "300", "tsv")
    return lines_of((await _finish(child, timeout_s)).decode(errors="replace"))


async def _start(program: str, *args: str) -> Process:
    # One thread each: several runs share the processor, and tesseract's own threads gain little.
    environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    return await asyncio.create_subprocess_exec(program, *args, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environ)


async def _finish(child: Process, timeout_s: float) -> bytes:
    """Return what the child printed; it never outlives the call, whether it ends in time, late or by a cancel."""
    try:
        async with asyncio.timeout(timeout_s):
            out, _ = await child.communicate()
    except TimeoutError as error:
        raise SkillFailed("ocr-timeout", f"tesseract took more than {timeout_s:g} s", retryable=True) from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise SkillFailed("ocr-failed", f"tesseract ended with {child.returncode}")
    return out


def lines_of(tsv: str) -> list[Line]:
    """Return the lines of tesseract's table of words."""
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(tsv), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == "5" and row["text"].strip():
            found.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
    return [_line(words) for words in found.values()]


def _line(words: list[dict[str, str]]) -> Line:
    x, y = min(int(w["left"]) for w in words), min(int(w["top"]) for w in words)
    right = max(int(w["left"]) + int(w["width"]) for w in words)
    bottom = max(int(w["top"]) + int(w["height"]) for w in words)
    confidence = max(0.0, sum(float(w["conf"]) for w in words) / len(words) / 100)
    return Line(" ".join(w["text"] for w in words), x, y, right - x, bottom - y, confidence)
