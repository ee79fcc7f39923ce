"""The leases this process holds: renewed in one call, given up in time.

A lease counts from before the request that granted or renewed it was sent, so the runner's idea of its end is never
later than the ledger's.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from concilium import tracing
from concilium.contracts.errors import ConciliumError
from concilium.contracts.runner import Held, Lease, RenewRequest
from concilium.runner.agent import Endpoint
from concilium.runner.clock import now
from concilium.runner.control import ControlPlane

log = structlog.get_logger(__name__)

STOP_SHARE: Final = 0.75
"""Without a renewal a holder stops itself after this share of the TTL (15 of 20 s)."""
RENEW_SHARE: Final = 0.25
"""Leases are renewed this often, as a share of the TTL (every 5 of 20 s)."""
CALL_MAX: Final = 1024

End = Literal["lost", "expired", "stopping"]
"""Why a lease ended early: the ledger took it away, it was not renewed in time, this process ends."""


@dataclass
class AtAgent:
    """A step at its agent."""

    endpoint: Endpoint
    run_id: str
    """The agent's own id of the run; empty until a foreign agent tells it."""
    sent: bool
    """The agent may have seen the step."""


@dataclass(eq=False)
class HeldLease:
    """A lease while it is held."""

    lease: Lease
    until: float
    """`clock.now` at which this process stops believing in it."""
    settling: bool = False
    """The run is over and its completion on its way: that one's answer decides, no longer the renewal's."""
    at_agent: AtAgent | None = None
    """Set once it is known how the agent is called."""
    span: tracing.Span = field(default_factory=tracing.Span)
    """What is recorded of the work under this lease."""
    ended: asyncio.Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def held(self) -> Held:
        """The lease by name."""
        lease = self.lease
        return Held(task_id=lease.task_id, step=lease.step, attempt=lease.attempt, fence=lease.fence)

    @property
    def alive(self) -> bool:
        """Whether work under this lease may go on now."""
        return not self.ended.done() and now() < self.until

    def traced(self, span: tracing.Span) -> None:
        """Record the work under this lease in a span, and give that to the agent as the parent of its own."""
        self.span = span
        if span.traceparent:
            self.lease = self.lease.model_copy(update={"traceparent": span.traceparent})

    def end(self, why: End) -> None:
        """Stop believing in the lease; the first reason stays."""
        if not self.ended.done():
            self.ended.set_result(why)


class LeaseKeeper:
    """Renews every lease of the process. All methods are called on the event loop."""

    def __init__(self, control: ControlPlane, runner: str) -> None:
        self._control = control
        self._runner = runner
        self._leases: set[HeldLease] = set()
        self._added = asyncio.Event()
        self._recalled = asyncio.Event()

    def hold(self, lease: Lease, asked_at: float) -> HeldLease:
        """Take a lease that was asked for at ``asked_at`` (`clock.now`)."""
        held = HeldLease(lease, asked_at + lease.ttl_s * STOP_SHARE)
        self._leases.add(held)
        self._added.set()
        return held

    def drop(self, held: HeldLease) -> None:
        """Forget a lease that was settled or given up."""
        held.end("stopping")
        self._leases.discard(held)

    def end_all(self) -> None:
        """Give every lease up, because this process ends."""
        for held in self._leases:
            held.end("stopping")

    def recall(self, tasks: set[str]) -> None:
        """Renew at once when a lease of one of these tasks is held: the answer says whether it is lost."""
        if any(held.lease.task_id in tasks for held in self._leases):
            self._recalled.set()

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            if not self._leases:
                self._added.clear()
                await self._added.wait()
            every = min((held.lease.ttl_s for held in self._leases), default=1.0) * RENEW_SHARE
            await self._pause(every)
            self._expire()
            renewed = await self._renew(every)
            self._expire()
            if not renewed:
                log.warning("leases not renewed", leases=len(self._leases))

    async def _pause(self, seconds: float) -> None:
        """Wait, until something held is recalled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._recalled.wait()
        self._recalled.clear()

    def _expire(self) -> None:
        """End what was not renewed in time, e.g. because this process was frozen."""
        moment = now()
        for held in [held for held in self._leases if moment >= held.until]:
            held.end("expired")

    async def _renew(self, timeout_s: float) -> bool:
        wanted = [held for held in self._leases if not held.ended.done()]
        try:
            for start in range(0, len(wanted), CALL_MAX):
                await self._renew_some(wanted[start : start + CALL_MAX], timeout_s)
        except ConciliumError as error:
            log.info("renewal failed", error=error.type, leases=len(wanted))
            return False
        return True

    async def _renew_some(self, some: list[HeldLease], timeout_s: float) -> None:
        asked_at = now()
        request = RenewRequest(runner=self._runner, leases=tuple(held.held for held in some))
        lost = {_key(held) for held in await self._control.renew(request, timeout_s)}
        for held in some:
            if _key(held.held) not in lost:
                held.until = max(held.until, asked_at + held.lease.ttl_s * STOP_SHARE)
            elif not held.settling:
                held.end("lost")


def _key(held: Held) -> tuple[str, str, int, int]:
    return held.task_id, held.step, held.attempt, held.fence
