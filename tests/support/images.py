"""Pictures made for tests, and a vision skill run on them as the agent's runtime runs it."""

import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from PIL import Image

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.config import EngineConfig
from concilium.contracts.skill import FILE_SCHEMA
from concilium.workers.runtime.skill import SkillContext, SkillResult
from concilium.workers.vision import skills

MANIFEST = yaml.safe_load((Path(__file__).resolve().parents[2] / "agents" / "vision" / "agent.yaml").read_text())
SCHEMAS = {skill["name"]: skill for skill in MANIFEST["skills"]}


def saved(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    """Return the image as a file."""
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    """Return a file's pixels."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def marked(width: int = 40, height: int = 20) -> Image.Image:
    """Return an upright image whose four corners differ: red, green, blue, white from the top left, row by row."""
    image = Image.new("RGB", (width, height), "black")
    half, middle = width // 2, height // 2
    for place, colour in (((0, 0), "red"), ((half, 0), "lime"), ((0, middle), "blue"), ((half, middle), "white")):
        image.paste(colour, (*place, place[0] + half, place[1] + middle))
    return image


def corners(image: Image.Image, off: int = 40) -> list[str]:
    """Return the names of the corners' colours, each channel at most ``off`` away."""
    names = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    right, bottom = image.width - 1, image.height - 1
    found = []
    for place in ((0, 0), (right, 0), (0, bottom), (right, bottom)):
        pixel: Any = image.convert("RGB").getpixel(place)
        near = [n for n, c in names.items() if all(abs(a - b) <= off for a, b in zip(pixel, c, strict=True))]
        found.append(near[0] if near else str(pixel))
    return found


async def run(
    skill: str, folder: Path, *files: bytes, engine: EngineConfig | None = None, name: str = "a.png", **data: Any
) -> SkillResult:
    """Run a skill on a file, or on several as ``images``; its input and output are held to their schemas."""
    label = data.pop("media_type", "image/png")
    refs = [file_ref(name, label, content).model_dump(mode="json") for content in files]
    given = {"images": refs, **data} if len(refs) > 1 else {"image": refs[0], **data}
    check(SCHEMAS[skill]["input_schema"], given)
    contents = {ref["sha256"]: content for ref, content in zip(refs, files, strict=True)}
    context = SkillContext("t.s.1", contents, {}, folder, engine=engine, deadline_at=time.monotonic() + 60)
    result = await skills[skill](context, given)
    check(SCHEMAS[skill]["output_schema"], result.output)
    return result


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, at most a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other processes and libraries
            await asyncio.sleep(0.01)


def check(schema: dict[str, Any], data: Any) -> None:
    """Raise unless the data fits the schema of a manifest."""
    Draft202012Validator({**schema, "$defs": {"File": FILE_SCHEMA}}).validate(data)
