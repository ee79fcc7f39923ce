"""News between the replicas of a control plane: which tasks a commit changed, published over the broker's Redis.

Ids only, and nothing relies on them: a replica that hears nothing looks at the ledger once a second.
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

CHANNEL: Final = "concilium.changed"
BUFFER_MAX: Final = 10_000
"""Commits waiting to be published; beyond it they are dropped."""
BATCH_MAX: Final = 500
"""Commits told in one message."""
SEND_TIMEOUT_S: Final = 0.5
AWAY_S: Final = 1.0
"""After a failure nothing is tried for this long."""
STOP_S: Final = 5.0


class Notices:
    """Tells the other replicas of commits and hears theirs. Nothing here raises for a Redis that is away."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("redis+socket://", "unix://", 1)
        self._origin = secrets.token_hex(8)
        self._changes: queue.Queue[set[str]] = queue.Queue(BUFFER_MAX)
        limits = {"socket_timeout": SEND_TIMEOUT_S, "socket_connect_timeout": SEND_TIMEOUT_S}
        self._redis = Redis.from_url(self._url, retry=Retry(NoBackoff(), 1), **limits)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._publish_all, name="notices", daemon=True)
        self._thread.start()

    def publish(self, task_ids: set[str]) -> None:
        """Tell the other replicas that these tasks have changed. Returns at once, from any thread."""
        try:
            self._changes.put_nowait(task_ids)
        except queue.Full:
            return  # the replicas' own look covers it

    async def listen(self) -> AsyncIterator[set[str]]:
        """Yield the ids of tasks that other replicas changed, as they tell; ends never."""
        while True:
            try:
                async with AsyncRedis.from_url(self._url) as redis, redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    async for message in channel.listen():
                        found = self._heard(message)
                        if found:
                            yield found
            except (RedisError, OSError) as error:
                log.debug("notices.away", error=type(error).__name__)
            await asyncio.sleep(AWAY_S)

    def close(self) -> None:
        """Stop publishing."""
        self._stopping.set()
        self.publish(set())
        self._thread.join(STOP_S)
        self._redis.close()

    def _heard(self, message: dict[str, Any]) -> set[str]:
        """Return the tasks a message names; none for this replica's own and for anything else."""
        if message.get("type") != "message":
            return set()
        try:
            said = orjson.loads(message["data"])
            return set() if said["from"] == self._origin else {str(task) for task in said["tasks"]}
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return set()

    def _publish_all(self) -> None:
        while not self._stopping.is_set():
            changed = self._next()
            if not changed:
                continue
            try:
                self._redis.publish(CHANNEL, orjson.dumps({"from": self._origin, "tasks": sorted(changed)}))
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
