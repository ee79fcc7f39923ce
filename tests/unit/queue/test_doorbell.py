"""The doorbell over a real Redis."""

import time
from collections.abc import Callable, Iterator

import pytest

from concilium.queue import Doorbell
from support.redis import RedisServer, running_redis


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_ring_is_one_message_in_the_agents_queue(redis: RedisServer) -> None:
    bell = Doorbell(redis.url)
    bell.ring("noop", "task_1.a.1")
    until(lambda: bell.depth("noop") == 1)
    assert bell.depth("other") == 0
    bell.close()


def test_ringing_never_waits_nor_raises_while_redis_is_away_and_works_when_it_is_back(redis: RedisServer) -> None:
    bell = Doorbell(redis.url)
    redis.stop()
    began = time.monotonic()
    for number in range(1000):
        bell.ring("noop", f"task_1.a.{number}")
    assert time.monotonic() - began < 0.5
    assert bell.depth("noop") is None
    redis.start()

    def heard() -> bool:
        bell.ring("noop", "task_1.b.1")
        return bool(bell.depth("noop"))

    until(heard)
    bell.close()
