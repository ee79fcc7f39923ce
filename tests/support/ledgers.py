"""A ledger under test and the hands of those who use it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concilium.contracts.parts import FileRef
from concilium.contracts.runner import ClaimRequest, Completion, Held, Lease
from concilium.contracts.task import Request, Submission
from concilium.ledger import Completed, Ledger, Submitted
from support.fold import AGENT, advance

WITHIN_S = 20.0


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """Look again and again until the answer is true; fail after `WITHIN_S`."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not so within {WITHIN_S} s")


def held(lease: Lease) -> Held:
    """Name a lease as its holder does."""
    return Held(task_id=lease.task_id, step=lease.step, attempt=lease.attempt, fence=lease.fence)


def outcome(lease: Lease, state: str = "completed", runner: str = "r1", **more: Any) -> Completion:
    """Return the outcome of a lease's work."""
    more = {"output": {"said": lease.step}} | more if state == "completed" else more
    return Completion.model_validate(
        {"held": held(lease).model_dump(), "runner": runner, "node": "n1", "state": state, "duration_s": 0.1} | more
    )


@dataclass
class Hands:
    """Callers and runners of one ledger."""

    ledger: Ledger
    url: str
    blobs: Path

    async def submit(self, text: str = "a", files: tuple[FileRef, ...] = (), **terms: Any) -> Submitted:
        """Submit a request for the test fold."""
        values = {"request": Request(text=text, files=files), "key_id": "key_1"} | terms
        return await self.ledger.submit(Submission(**values))

    async def claim(
        self, agent: str = AGENT, runner: str = "r1", count: int = 1, node: str = "n1"
    ) -> tuple[Lease, ...]:
        """Claim steps."""
        return await self.ledger.claim(ClaimRequest(agent=agent, node=node, runner=runner, count=count))

    async def one(self, agent: str = AGENT, runner: str = "r1") -> Lease:
        """Claim a step that must be there."""
        (lease,) = await self.claim(agent, runner)
        return lease

    async def soon(self, agent: str = AGENT, runner: str = "r1") -> Lease:
        """Claim a step as soon as there is one, sweeping meanwhile."""

        async def look() -> tuple[Lease, ...]:
            await self.ledger.sweep()
            return await self.claim(agent, runner)

        return (await until(look))[0]

    async def complete(self, lease: Lease, state: str = "completed", **more: Any) -> Completed:
        """Commit an outcome."""
        return await self.ledger.complete(outcome(lease, state, **more))

    async def state(self, task_id: str) -> str:
        """Return a task's state."""
        return (await self.ledger.get(task_id)).state.value


@contextlib.asynccontextmanager
async def hands(url: str, blobs: Path, **options: Any) -> AsyncIterator[Hands]:
    """Open a ledger, and close it."""
    ledger = await Ledger.open(url, blobs, options.pop("advance", advance), **options)
    try:
        yield Hands(ledger, url, blobs)
    finally:
        await ledger.close()
