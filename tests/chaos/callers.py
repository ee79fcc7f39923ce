"""Those who ask: each job is submitted under its Idempotency-Key until it is accepted, some are canceled in flight."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from chaos.work import Job

AGAIN_S = 0.3
"""A caller's pause before it tries again."""
_TIMEOUT = aiohttp.ClientTimeout(total=8)
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass
class Callers:
    """Submit jobs to any of the control planes, as clients that know nothing of what goes on behind them."""

    urls: Sequence[str]
    key: str
    callback_url: str
    seed: int
    accepted: dict[str, set[str]] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)
    """Answers that no client should get, whatever goes on."""
    tries: int = 0
    refused: int = 0
    disk_full: int = 0
    """Refusals for lack of space."""
    unanswered: int = 0

    async def run(self, jobs: Sequence[Job]) -> None:
        """Submit every job at its time; return when all are accepted and all cancellations are answered."""
        turns = itertools.cycle(self.urls)
        began = asyncio.get_running_loop().time()
        headers = {"Authorization": f"Bearer {self.key}"}
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            await asyncio.gather(*(self._job(session, job, began, turns) for job in jobs))

    async def _job(self, session: aiohttp.ClientSession, job: Job, began: float, turns: "itertools.cycle[str]") -> None:
        await asyncio.sleep(began + job.at_s - asyncio.get_running_loop().time())
        key = f"chaos-{self.seed}-{job.number}"
        body = {
            "text": job.text,
            "callback_url": self.callback_url,
            "deadline_s": job.deadline_s,
            "priority": job.priority,
        }
        task = await self._until(session, turns, "/v1/ask", (200, 202), json=body, headers={"Idempotency-Key": key})
        self.accepted.setdefault(key, set()).add(task["id"])
        if job.number % 10 == 0:  # a caller that is not sure whether it was heard asks again
            again = await self._until(
                session, turns, "/v1/ask", (200, 202), json=body, headers={"Idempotency-Key": key}
            )
            self.accepted[key].add(again["id"])
        if job.cancel_after_s is not None:
            await asyncio.sleep(job.cancel_after_s)
            done = await self._until(session, turns, f"/v1/tasks/{task['id']}/cancel", (200, 409))
            if "state" in done:
                self.canceled.add(task["id"])

    async def _until(
        self,
        session: aiohttp.ClientSession,
        turns: "itertools.cycle[str]",
        path: str,
        wanted: tuple[int, ...],
        **options: Any,
    ) -> dict[str, Any]:
        """Post until an answer is one of those wanted; return it."""
        while True:
            self.tries += 1
            try:
                async with session.post(next(turns) + path, **options) as answer:
                    body: dict[str, Any] = await answer.json(content_type=None)
                    if answer.status in wanted:
                        return body
                    self.refused += 1
                    self.disk_full += "disk is full" in str(body)
                    if answer.status not in _TRY_AGAIN:
                        self.odd.append(f"POST {path.rsplit('/', 1)[-1]}: {answer.status} {str(body)[:300]}")
            except _BROKEN:
                self.unanswered += 1
            await asyncio.sleep(AGAIN_S)
