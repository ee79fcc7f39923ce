"""The vision agent: ``skills`` and ``warm_up`` serve its runtime; ``describe_engines`` serves ``concilium doctor``."""

import asyncio
from collections.abc import Mapping

from concilium.contracts.base import JSON
from concilium.workers.vision import cell, ocr
from concilium.workers.vision.ask import ask
from concilium.workers.vision.compare import compare
from concilium.workers.vision.describe import describe
from concilium.workers.vision.inspect import inspect
from concilium.workers.vision.report import describe_engines

__all__ = ["describe_engines", "skills", "warm_up"]

skills = {
    "vision.ocr": ocr.ocr,
    "vision.inspect": inspect,
    "vision.describe": describe,
    "vision.ask": ask,
    "vision.compare": compare,
}


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Load the readers and start what decodes pictures."""
    await asyncio.gather(ocr.warm_up(settings), cell.warm_up())
