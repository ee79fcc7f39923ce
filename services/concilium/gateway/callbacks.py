"""Callbacks: what the outbox holds is delivered at least once, signed, in order per task.

Each delivery is a POST with the headers of the Standard Webhooks specification (``webhook-id``, ``webhook-timestamp``,
``webhook-signature``). Only a 2xx answer counts; a redirect is a failure, since its target was never judged. When to
try again and when to give up is the outbox's decision.
"""

import asyncio
from contextlib import suppress
from functools import partial

import aiohttp
import orjson
import structlog
from standardwebhooks import Webhook

from concilium import tracing
from concilium.contracts.base import utc_now
from concilium.contracts.config import CallbackConfig
from concilium.contracts.errors import ConciliumError
from concilium.gateway.ssrf import CallbackRefused, Guard, GuardedResolver, redacted
from concilium.keyring import KeyFile
from concilium.ledger import Delivery, Ledger

POLL_S = 1.0
BATCH = 64

log = structlog.get_logger("concilium.callbacks")


class Sender:
    """Takes due callbacks from the outbox and delivers them side by side."""

    def __init__(self, ledger: Ledger, guard: Guard, secret: KeyFile, config: CallbackConfig) -> None:
        self._ledger = ledger
        self._guard = guard
        self._secret = secret
        self._timeout = aiohttp.ClientTimeout(total=config.timeout_s)
        self._attempts = config.attempts
        self._kick = asyncio.Event()
        self._flying: dict[str, asyncio.Task[None]] = {}

    def kick(self) -> None:
        """Look at the outbox now: something was committed to it."""
        self._kick.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(self._guard), use_dns_cache=False, force_close=True, limit=BATCH
        )
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=self._timeout) as session:
            try:
                while True:
                    await self._round(session)
                    await self._pause()
            finally:
                for task in self._flying.values():
                    task.cancel()
                await asyncio.gather(*self._flying.values(), return_exceptions=True)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._kick.wait()
        self._kick.clear()

    async def _round(self, session: aiohttp.ClientSession) -> None:
        try:
            due = await self._ledger.outbox_due(BATCH)
        except ConciliumError as error:
            log.warning("outbox.unavailable", detail=error.detail)
            return
        for delivery in due:
            if delivery.id not in self._flying:
                task = asyncio.create_task(self._deliver(session, delivery))
                self._flying[delivery.id] = task
                task.add_done_callback(partial(self._landed, delivery.id))

    def _landed(self, key: str, _task: asyncio.Task[None]) -> None:
        del self._flying[key]
        self.kick()  # the next callback of the same task may be due now

    async def _deliver(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        where = redacted(delivery.url)
        about = {"concilium.task": delivery.task_id, "concilium.callback": delivery.type}
        with tracing.span("callback", about, kind="client", parent=delivery.traceparent) as span:
            span.set({"concilium.attempt": delivery.attempts + 1, "concilium.bytes": len(delivery.payload)})
            failure = await self._post(session, delivery)
            if failure is not None:
                span.fail("not-delivered")
        try:
            if failure is None:
                await self._ledger.outbox_delivered(delivery.id)
                log.info("callback.delivered", task=delivery.task_id, target=where)
            else:
                await self._ledger.outbox_failed(delivery.id, failure, self._attempts)
                log.warning("callback.failed", task=delivery.task_id, target=where, failure=failure)
        except ConciliumError as error:
            # Not recorded: the outbox hands it out again, which is what "at least once" allows.
            log.warning("outbox.unrecorded", task=delivery.task_id, detail=error.detail)

    async def _post(self, session: aiohttp.ClientSession, delivery: Delivery) -> str | None:
        """Return why the delivery failed, or None when the receiver took it."""
        try:
            target = await self._guard.check(delivery.url)
            body = _body(delivery)
            async with session.post(
                target.url, data=body.encode(), headers=self._headers(delivery, body), allow_redirects=False
            ) as reply:
                return None if 200 <= reply.status < 300 else f"the receiver answered {reply.status}"
        except CallbackRefused as error:
            return error.detail
        except TimeoutError:
            return "the receiver did not answer in time"
        except aiohttp.ClientError as error:
            cause = error.__cause__ or error.__context__
            return cause.detail if isinstance(cause, CallbackRefused) else f"no connection ({type(error).__name__})"

    def _headers(self, delivery: Delivery, body: str) -> dict[str, str]:
        now = utc_now()
        return {
            "content-type": "application/json",
            "user-agent": "concilium",
            "webhook-id": delivery.id,
            **tracing.headers(),
            "webhook-timestamp": str(int(now.timestamp())),
            # While a secret is being replaced each is signed with, so that a receiver may know either.
            "webhook-signature": " ".join(Webhook(s).sign(delivery.id, now, body) for s in self._secret.accepted()),
        }


def _body(delivery: Delivery) -> str:
    """Return what is posted: the form Standard Webhooks recommends, with the stored task as its data."""
    head = orjson.dumps({"type": delivery.type, "timestamp": delivery.created_at}).decode()
    return f'{head[:-1]},"data":{delivery.payload}}}'
