"""The vision skills on images made here."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.vision import skills

SHA = "0" * 64


async def call(skill: str, path: Path, data: bytes, **more: JSON) -> JSON:
    image = {"sha256": SHA, "name": "a.png", "media_type": "image/png", "size": len(data)}
    return (await skills[skill](SkillContext("t.s.1", {SHA: data}, {}, path), {"image": image, **more})).output


def page() -> bytes:
    image = Image.new("RGB", (600, 120), "white")
    ImageDraw.Draw(image).text((20, 30), "Total due 1234.50", "black", ImageFont.load_default(48))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("tools", ["all", "none"])
async def test_english_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: str) -> None:
    if tools == "none":
        monkeypatch.setenv("PATH", "")
    assert "1234.50" in (await call("vision.ocr", tmp_path, page(), languages=["en"]))["text"]


async def test_russian_without_a_russian_engine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SkillFailed, match="unsupported_script"):
        await call("vision.ocr", tmp_path, page(), languages=["ru"])


async def test_an_image_is_described(tmp_path: Path) -> None:
    output = await call("vision.inspect", tmp_path, page())
    assert (output["format"], output["width"], output["colours"][0]["hex"]) == ("PNG", 600, "#ffffff")


async def test_text_named_png_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match="not-an-image"):
        await call("vision.inspect", tmp_path, b"hello")
