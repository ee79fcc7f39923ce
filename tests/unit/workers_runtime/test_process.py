"""A program that is started for a run which is cancelled meanwhile."""

import asyncio

import psutil
import pytest

from concilium.workers.runtime.process import start_process


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancel_while_a_program_starts_ends_it_and_leaves_nothing(turns: int) -> None:
    before = {child.pid for child in psutil.Process().children()}
    starting = asyncio.ensure_future(start_process("sleep", "60", stdin=asyncio.subprocess.PIPE))
    for _ in range(turns):
        await asyncio.sleep(0)
    if not starting.cancel():  # it was quicker
        process = await starting
        process.kill()
        await process.wait()
        return
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="nowhere"):
        await start_process("/nowhere/at/all")


async def test_what_was_started_is_given_and_may_be_ended_otherwise() -> None:
    process = await start_process("sleep", "60")
    process.kill()
    assert await process.wait() == -9
