"""Skills that misbehave on purpose."""

import asyncio
from pathlib import Path
from typing import Any

from concilium.workers.runtime import OutFile, SkillContext, SkillFailed, SkillResult


async def wait(ctx: SkillContext, data: dict[str, Any]) -> SkillResult:
    """Report progress, leave a file behind and wait until canceled or ``seconds`` have passed."""
    (ctx.workdir / "left").write_text("behind")
    (ctx.workdir / "deep").mkdir()
    (ctx.workdir / "deep" / "left").write_text("behind")
    await ctx.progress(0.5, f"waiting in {ctx.workdir.name}")
    await asyncio.sleep(data.get("seconds", 60))
    return SkillResult({"deadline_s": ctx.deadline_s})


async def stubborn(ctx: SkillContext, data: dict[str, Any]) -> SkillResult:
    """Ignore the first cancellation and go on until somebody writes to the FIFO ``release``."""
    release = Path(data["release"])
    await ctx.progress(None, "started")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        # A FIFO opens when its other end does: no polling.
        await asyncio.to_thread(release.read_bytes)
    return SkillResult({})


async def reverse(ctx: SkillContext, data: dict[str, Any]) -> SkillResult:
    """Give a file back, its bytes reversed."""
    content = ctx.files[data["file"]["sha256"]]
    return SkillResult({"size": len(content)}, (OutFile("reversed.bin", "application/x-reversed", content[::-1]),))


async def result(_ctx: SkillContext, data: dict[str, Any]) -> SkillResult:
    """Return what the input says, fitting or not."""
    match data["kind"]:
        case "crash":
            raise ValueError("secret-content")
        case "nan":
            return SkillResult({"value": float("nan")})
        case "large":
            return SkillResult({"value": "x" * 5_000_000})
        case "cancel":
            raise asyncio.CancelledError
        case "surrogate":
            raise SkillFailed("odd", "what a \ud800 it is")
        case "odd-file":
            return SkillResult({"value": 1}, (OutFile("\ud800.txt", "text/plain", b""),))
        case "refuse":
            raise SkillFailed("no-voice", "there is no voice for this language", retryable=False)
    return SkillResult({"wrong": True})


skills = {"probe.wait": wait, "probe.stubborn": stubborn, "probe.reverse": reverse, "probe.result": result}
