"""Two control planes on one PostgreSQL: who waits at one is woken by a commit at the other."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from concilium.gateway.background import hear
from concilium.ledger import Ledger, opening
from concilium.queue import Notices
from support.ledgers import hands
from support.redis import running_redis


class Ear:
    """A ledger's ear, which also remembers what it heard."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.heard = ledger, set[str]()

    def wake(self, task_ids: set[str]) -> None:
        self.heard |= task_ids
        self.ledger.wake(task_ids)


async def test_a_commit_at_one_replica_wakes_who_waits_at_another(
    postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "POLL_S", 600.0)  # nobody looks by himself
    url = str(postgres.database())
    with running_redis() as redis:
        here, there = Notices(redis.url), Notices(redis.url)
        async with (
            hands(url, tmp_path / "a") as waiting,
            hands(url, tmp_path / "b", on_commit=there.publish) as acting,
        ):
            ear = Ear(waiting.ledger)
            hearing = asyncio.create_task(hear(ear, here))
            try:
                async with asyncio.timeout(20):
                    while "hello" not in ear.heard:
                        there.publish({"hello"})
                        await asyncio.sleep(0.02)
                task = (await acting.submit("a")).task
                newest = (await waiting.ledger.events(task.id))[-1].seq
                news = asyncio.create_task(waiting.ledger.wait(task.id, newest, 600))
                await asyncio.sleep(0)
                await acting.ledger.cancel(task.id, "enough")
                async with asyncio.timeout(20):
                    assert await news
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(n.close) for n in (here, there)))
