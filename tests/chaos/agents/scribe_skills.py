"""The scribe: a file whose bytes follow from its text, so that nobody can confuse two of them."""

import asyncio
import hashlib
from typing import Any

from concilium.workers.runtime import SkillContext, SkillResult
from concilium.workers.runtime.skill import OutFile


async def write(ctx: SkillContext, data: dict[str, Any]) -> SkillResult:
    """Return the text and one file of ``size`` bytes made from it, after ``sleep_s`` seconds."""
    await asyncio.sleep(data.get("sleep_s", 0))
    block = hashlib.sha256(data["text"].encode()).digest()
    size: int = data["size"]
    content = (block * (size // len(block) + 1))[:size]
    return SkillResult({"text": data["text"]}, (OutFile("scribe.bin", "application/octet-stream", content),))


skills = {"scribe.write": write}
