"""Threads for the work on pixels: few, so that many requests share the processor instead of the memory."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

WORKERS = 2
T = TypeVar("T")

_pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="vision")


async def on_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a blocking function on one of the room's threads; what waits when the caller is cancelled never starts."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(function, *args))
