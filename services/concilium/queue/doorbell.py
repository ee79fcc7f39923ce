"""Rings the queues: a publisher on a thread of its own, so that nobody who rings ever waits for Redis."""

import queue
import threading
import time
from typing import Any, Final

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from concilium.queue.app import TASK_NAME, make_app, queue_name, queue_of

log = structlog.get_logger(__name__)

BUFFER_MAX: Final = 10_000
"""Hints waiting to be published; beyond it they are dropped."""
STOP_S: Final = 5.0
AWAY_S: Final = 0.5
"""After a failed publish nothing is tried for this long: hints are dropped at once."""

DEPTH_TIMEOUT_S: Final = 0.5

_AWAY = (OperationalError, RedisError, OSError)


class Doorbell:
    """Publishes hints. Nothing here raises: what is not published is rung again by the ledger's reconciler."""

    def __init__(self, url: str) -> None:
        self._app = make_app(url)
        self._hints: queue.Queue[tuple[str, str] | None] = queue.Queue(BUFFER_MAX)
        self._publisher = _Publisher(self._app)
        self._reader = _reader(url)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
        self._thread.start()

    def ring(self, agent: str, step_id: str) -> None:
        """Hint that a step of this agent is ready. Returns at once, from any thread."""
        try:
            self._hints.put_nowait((agent, step_id))
        except queue.Full:
            self._dropped += 1
            if self._dropped == 1:
                log.warning("doorbell buffer is full; hints are dropped", agent=agent, step_id=step_id)

    def depth(self, agent: str) -> int | None:
        """Return how many hints wait in an agent's queue, None when Redis does not answer.

        Waits up to half a second for a Redis that hangs: call it from a thread.
        """
        try:
            return int(self._reader.llen(queue_name(agent)))
        except RedisError as error:
            log.debug("queue depth unknown", agent=agent, error=type(error).__name__)
            return None

    def close(self) -> None:
        """Publish what is waiting, for at most a few seconds, and stop."""
        try:
            self._hints.put(None, timeout=STOP_S)
        except queue.Full:
            return
        self._thread.join(STOP_S)
        self._reader.close()

    def _run(self) -> None:
        while (hint := self._hints.get()) is not None:
            self._publisher.publish(*hint)
            if self._dropped and self._hints.empty():
                log.warning("hints were dropped", count=self._dropped)
                self._dropped = 0
        self._publisher.close()


class _Publisher:
    """One connection, made when first needed and made anew after a failure. Used by one thread only."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None
        self._producer: Any = None
        self._away_until = 0.0
        self._lost = 0

    def publish(self, agent: str, step_id: str) -> None:
        """Publish one hint, or drop it."""
        if time.monotonic() < self._away_until:
            self._lost += 1
            return
        try:
            self._send(agent, step_id)
        except _AWAY as error:
            self._fail(agent, step_id, error)
            return
        if self._lost:
            log.info("Redis is back", hints_dropped=self._lost)
            self._lost = 0

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            try:
                self._connection.release()
            except _AWAY as error:
                log.debug("closing a broken connection", error=type(error).__name__)
        self._connection = self._producer = None

    def _send(self, agent: str, step_id: str) -> None:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            # kombu's own pause before the second try is two seconds.
            self._connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            self._producer = self._app.amqp.Producer(self._connection.default_channel, auto_declare=False)
        self._app.send_task(
            TASK_NAME,
            (step_id,),
            producer=self._producer,
            queue=queue_of(agent),
            ignore_result=True,
            retry=False,
            # Celery would write out the arguments once more, for logs that nobody keeps.
            argsrepr="",
            kwargsrepr="",
        )

    def _fail(self, agent: str, step_id: str, error: Exception) -> None:
        """Drop the hint. The connection may be old and Redis back already, so the next hint tries a new one."""
        if self._lost == 0:
            log.warning("Redis is away; hints are dropped", agent=agent, step_id=step_id, error=type(error).__name__)
        else:
            self._away_until = time.monotonic() + AWAY_S
        self._lost += 1
        self.close()


def _reader(url: str) -> Redis:
    """Return a plain client of the same Redis, for looking only."""
    plain = url.replace("redis+socket://", "unix://", 1)
    limits = {"socket_timeout": DEPTH_TIMEOUT_S, "socket_connect_timeout": DEPTH_TIMEOUT_S}
    return Redis.from_url(plain, retry=Retry(NoBackoff(), 1), **limits)
