"""``vision.ocr``: text of an image, by tesseract when it is there, else by the bundled reader (Latin script only)."""

import asyncio
import csv
import io
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy
from PIL import Image

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult
from concilium.workers.vision.decode import decode

GET_RUSSIAN = "apt-get install -y tesseract-ocr tesseract-ocr-rus"
_CODES = {"en": "eng", "eng": "eng", "ru": "rus", "rus": "rus"}


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Load the bundled reader's models once."""
    await asyncio.to_thread(_reader, int(settings.get("threads", 2)))


async def ocr(ctx: SkillContext, data: JSON) -> SkillResult:
    """Read the text; fails as `decode` does, and with ``unsupported_script`` or ``ocr-timeout``."""
    ref = data["image"]
    found = await asyncio.to_thread(decode, ctx.files[ref["sha256"]], ref["media_type"])
    asked = [_CODES.get(code, code) for code in data.get("languages", [])]
    here = await tesseract_languages()
    wanted = asked or ["eng", "rus"]
    if set(wanted) <= set(here):
        engine, lines = "tesseract", await _tesseract(found.image, wanted, ctx)
    elif asked == ["eng"]:
        threads = int(ctx.settings.get("threads", 2))
        engine, lines = "rapidocr", await asyncio.to_thread(_rapid, found.image, threads)
    else:
        detail = f"only Latin script can be read here: say languages [en] if the text is English, or run {GET_RUSSIAN}"
        raise SkillFailed("unsupported_script", detail)
    text = "\n".join(line["text"] for line in lines)
    language = "ru" if len(re.findall("[А-яЁё]", text)) > len(re.findall("[A-Za-z]", text)) else "en"
    size = {"width": found.image.width, "height": found.image.height}
    output = {"text": text, "lines": lines, "language": language, "engine": engine, "notes": list(found.notes)}
    return SkillResult(output | size)


async def tesseract_languages() -> list[str]:
    """Return what tesseract reads here; empty without it."""
    program = shutil.which("tesseract")
    if program is None:
        return []
    child = await asyncio.create_subprocess_exec(program, "--list-langs", stdout=PIPE, stderr=DEVNULL)
    out, _ = await child.communicate()
    return out.decode().split("\n")[1:]


async def _tesseract(image: Image.Image, languages: list[str], ctx: SkillContext) -> list[dict[str, JSON]]:
    path = ctx.workdir / "page.png"
    await asyncio.to_thread(image.save, path)
    child = await asyncio.create_subprocess_exec(
        "tesseract", str(path), "-", "-l", "+".join(languages), "tsv", stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(float(ctx.settings.get("tesseract_timeout_s", 60))):
            out, _ = await child.communicate()
    except TimeoutError as error:
        raise SkillFailed("ocr-timeout", "tesseract took too long", retryable=True) from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise SkillFailed("ocr-failed", f"tesseract ended with {child.returncode}")
    return _lines(out.decode())


def _lines(tsv: str) -> list[dict[str, JSON]]:
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(tsv), delimiter="\t", quoting=csv.QUOTE_NONE):
        if row["level"] == "5" and row["text"].strip():
            lines.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
    return [_line(words) for words in lines.values()]


def _line(words: list[dict[str, str]]) -> dict[str, JSON]:
    x, y = min(int(w["left"]) for w in words), min(int(w["top"]) for w in words)
    right = max(int(w["left"]) + int(w["width"]) for w in words)
    bottom = max(int(w["top"]) + int(w["height"]) for w in words)
    confidence = max(0.0, sum(float(w["conf"]) for w in words) / len(words) / 100)
    return {"text": " ".join(w["text"] for w in words), "box": [x, y, right - x, bottom - y], "confidence": confidence}


@cache
def _reader(threads: int) -> Any:
    from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415 - heavy, loaded in warm_up

    return RapidOCR(intra_op_num_threads=threads)


def _rapid(image: Image.Image, threads: int) -> list[dict[str, JSON]]:
    found, _ = _reader(threads)(numpy.asarray(image)[:, :, ::-1])
    lines: list[dict[str, JSON]] = []
    for points, text, confidence in found or []:
        xs, ys = [int(p[0]) for p in points], [int(p[1]) for p in points]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        lines.append({"text": text, "box": box, "confidence": min(1.0, float(confidence))})
    return lines
