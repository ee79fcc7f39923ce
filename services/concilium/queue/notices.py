"""News published over the broker's Redis: which tasks a commit changed, which were recalled from their runners.

Ids only, and nothing relies on them: a replica that hears nothing looks at the ledger once a second, a runner learns
with its next renewal what it has lost.
"""

import asyncio
import queue
import secrets
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import structlog
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

CHANGED: Final = "concilium.changed"
"""From one replica of the control plane to the others."""
RECALLED: Final = "concilium.recalled"
"""From the control plane to its runners."""
BUFFER_MAX: Final = 10_000
"""Commits waiting to be published; beyond it they are dropped."""
BATCH_MAX: Final = 500
"""Commits told in one message."""
SEND_TIMEOUT_S: Final = 0.5
AWAY_S: Final = 1.0
"""After a failure nothing is tried for this long."""
STOP_S: Final = 5.0


class Notices:
    """Tells of tasks on one channel and hears what others tell there. Nothing here raises for a Redis that is away."""

    def __init__(self, url: str, channel: str = CHANGED) -> None:
        self._url = url
        self._channel = channel
        self._origin = secrets.token_hex(8)
        self._changes: queue.Queue[set[str]] = queue.Queue(BUFFER_MAX)
        limits = {"socket_timeout": SEND_TIMEOUT_S, "socket_connect_timeout": SEND_TIMEOUT_S}
        self._redis = Redis.from_url(_plain(url), retry=Retry(NoBackoff(), 1), **limits)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._publish_all, name="notices", daemon=True)
        self._thread.start()

    def publish(self, task_ids: set[str]) -> None:
        """Tell the others of these tasks. Returns at once, from any thread."""
        try:
            self._changes.put_nowait(task_ids)
        except queue.Full:
            return  # the listeners' own look covers it

    def listen(self) -> AsyncIterator[set[str]]:
        """Yield the ids of tasks that others tell of, as they tell; ends never."""
        return hear(self._url, self._channel, but=self._origin)

    def close(self) -> None:
        """Stop publishing."""
        self._stopping.set()
        self.publish(set())
        self._thread.join(STOP_S)
        self._redis.close()

    def _publish_all(self) -> None:
        while not self._stopping.is_set():
            changed = self._next()
            if not changed:
                continue
            try:
                self._redis.publish(self._channel, orjson.dumps({"from": self._origin, "tasks": sorted(changed)}))
            except (RedisError, OSError) as error:
                log.debug("notices.dropped", count=len(changed), error=type(error).__name__)
                self._stopping.wait(AWAY_S)

    def _next(self) -> set[str]:
        """Return the tasks of the next commits, as many as wait."""
        found = set(self._changes.get())
        for _ in range(BATCH_MAX):
            try:
                found |= self._changes.get_nowait()
            except queue.Empty:
                break
        return found


async def hear(url: str, channel: str, *, but: str = "") -> AsyncIterator[set[str]]:
    """Yield the ids of tasks told of on a channel by all but one origin; ends never, whatever Redis does."""
    while True:
        try:
            async with AsyncRedis.from_url(_plain(url)) as redis, redis.pubsub() as heard:
                await heard.subscribe(channel)
                async for message in heard.listen():
                    found = _tasks_in(message, but)
                    if found:
                        yield found
        except (RedisError, OSError) as error:
            log.debug("notices.away", error=type(error).__name__)
        await asyncio.sleep(AWAY_S)


def _tasks_in(message: dict[str, Any], but: str) -> set[str]:
    """Return the tasks a message names; none for one from ``but`` and for anything else."""
    if message.get("type") != "message":
        return set()
    try:
        said = orjson.loads(message["data"])
        return set() if said["from"] == but else {str(task) for task in said["tasks"]}
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return set()


def _plain(url: str) -> str:
    """Return Celery's form of the broker's URL as the Redis client wants it."""
    return url.replace("redis+socket://", "unix://", 1)
