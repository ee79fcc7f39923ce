"""The no-op agent of benchmarks and chaos: it echoes, waits, or fails as it is told."""

import asyncio
from collections import Counter
from typing import Any

from concilium.workers.runtime import SkillContext, SkillFailed, SkillResult

_failures: Counter[str] = Counter()


async def echo(ctx: SkillContext, data: dict[str, Any]) -> SkillResult:
    """Return the text after ``sleep_s`` seconds; fail when told to, or the first ``fail_times`` times for this text."""
    text: str = data["text"]
    sleep_s: float = data.get("sleep_s", 0)
    if sleep_s:
        await ctx.progress(0.0, "sleeping")
        await asyncio.sleep(sleep_s)
    if data.get("fail"):
        raise SkillFailed("told-to-fail", "the input asked for a failure")
    if _failures[text] < data.get("fail_times", 0):
        _failures[text] += 1
        raise SkillFailed("told-to-fail", "the input asked for a failure at first", retryable=True)
    return SkillResult({"text": text})


skills = {"noop.echo": echo}
