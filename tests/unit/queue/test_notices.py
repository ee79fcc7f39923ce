"""News between replicas over a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from concilium.queue import Notices
from support.redis import RedisServer, running_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def pair(redis: RedisServer) -> AsyncIterator[tuple[Notices, Notices]]:
    here, there = Notices(redis.url), Notices(redis.url)
    yield here, there
    await asyncio.gather(*(asyncio.to_thread(n.close) for n in (here, there)))


async def heard(listener: Notices, speaker: Notices, task: str) -> set[str]:
    """Return the first news the listener gets while the speaker says the same again and again."""

    async def repeat() -> None:
        while True:
            speaker.publish({task})
            await asyncio.sleep(0.02)

    saying = asyncio.create_task(repeat())
    try:
        async with asyncio.timeout(20):
            return await anext(listener.listen())
    finally:
        saying.cancel()


async def test_a_replica_hears_which_tasks_another_changed(pair: tuple[Notices, Notices]) -> None:
    here, there = pair
    assert await heard(here, there, "task_1") == {"task_1"}


async def test_a_replica_does_not_hear_itself(pair: tuple[Notices, Notices]) -> None:
    here, there = pair
    here.publish({"task_mine"})
    listening = asyncio.create_task(heard(here, there, "task_theirs"))
    here.publish({"task_mine"})
    assert await listening == {"task_theirs"}


async def test_publishing_goes_on_over_a_redis_that_was_away(redis: RedisServer, pair: tuple[Notices, Notices]) -> None:
    here, there = pair
    redis.stop()
    there.publish({"task_lost"})
    redis.start()
    assert await heard(here, there, "task_2") == {"task_2"}
