"""Starts a program that a cancelled run may not need any more."""

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from typing import Any


async def kill(process: Process) -> None:
    """Kill a process and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def start_process(
    *command: str, end: Callable[[Process], Awaitable[None]] = kill, **options: Any
) -> asyncio.subprocess.Process:
    """Start a program as `asyncio.create_subprocess_exec` does; a cancel that comes meanwhile waits until it started.

    Then it is ended by ``end``. A creation that is itself cancelled may never return (CPython issue 119710).

    Raises:
        OSError: the program could not be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        while not starting.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({starting})
        if starting.exception() is None:
            await end(starting.result())
        raise
