"""The brain's loop: takes turns that wait for the engine under a lease, thinks, commits the thought.

The lease and its fence decide who may commit. A process that dies while the engine thinks loses nothing: its lease runs
out and the turn is taken again, by whoever is there.
"""

import asyncio
import threading
from collections.abc import Callable

import structlog

from concilium import tracing
from concilium.brain.advance import Brain
from concilium.brain.language_planner import LanguagePlanner
from concilium.brain.thoughts import REFORMULATE
from concilium.contracts.base import JSON, new_id
from concilium.contracts.errors import ConciliumError, StaleLease
from concilium.contracts.turn import Advance, Turn
from concilium.engine import Meter, metered
from concilium.ledger import Advanced, Ledger, Thought

POLL_S = 1.0
"""How often the loop looks by itself: for turns of other replicas, expired leases, wake-ups that were lost."""
THOUGHTS_AT_ONCE = 4
_RENEWALS = 4
"""Renewals in one lease's time."""

log = structlog.get_logger("concilium.brain")


class Wake:
    """Wakes the loop when a turn that needs a thought is committed. Safe to call from the ledger's threads."""

    def __init__(self, brain: Brain) -> None:
        self.brain = brain
        self._asked: set[str] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()

    def advance(self, turn: Turn) -> Advance:
        """Fold a turn; note whether it asks for a thought. The ledger calls this in the place of `Brain.advance`."""
        decision = self.brain.advance(turn)
        if decision.think is not None:
            with self._lock:
                self._asked.add(turn.task_id)
        return decision

    def committed(self, tasks: set[str]) -> None:
        """Take the ledger's word that these tasks changed; wake the loop when one of them asked."""
        with self._lock:
            asked = self._asked & tasks
            self._asked -= asked
        if asked and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    def now(self) -> None:
        """Wake the loop, from its own thread."""
        self._news.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when woken since the last wait, or after ``timeout_s`` seconds."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()


class Thinker:
    """Carries out thoughts, at most `THOUGHTS_AT_ONCE` side by side."""

    def __init__(
        self, ledger: Ledger, planner: LanguagePlanner, wake: Wake, on_advanced: Callable[[Advanced], None]
    ) -> None:
        """Prepare.

        Args:
            ledger: grants the leases and stores the thoughts.
            planner: asks the engine.
            wake: says when there may be something to think about.
            on_advanced: told of each turn that a thought moved on, to ring its doorbells.
        """
        self._ledger, self._planner, self._wake, self._on_advanced = ledger, planner, wake, on_advanced
        self._holder = new_id("brain")
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take and carry out thoughts until cancelled; engine calls under way are given up then."""
        try:
            while True:
                await self._take()
                await self._wake.wait(POLL_S)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _take(self) -> None:
        free = THOUGHTS_AT_ONCE - len(self._running)
        if free <= 0:
            return
        try:
            granted = await self._ledger.claim_thoughts(self._holder, free)
        except ConciliumError as error:
            log.warning("thoughts.unavailable", detail=error.detail)
            return
        for thought in granted:
            task = asyncio.create_task(self._carry_out(thought))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.now()

    async def _carry_out(self, thought: Thought) -> None:
        """Think and commit; whatever breaks here leaves the turn to the next holder of its lease."""
        about = {"concilium.task": thought.task_id, "concilium.thought": thought.name.partition(":")[0]}
        with tracing.span("think", about, parent=thought.traceparent) as span:
            await self._settle(thought, span)

    async def _settle(self, thought: Thought, span: tracing.Span) -> None:
        names = {"task": thought.task_id, "thought": thought.name}
        try:
            meter = Meter()
            with metered(meter):
                value = await self._while_held(thought) | {"mode": meter.mode}
            used = meter.use("engine")
            moved = await self._ledger.commit_thought(thought.task_id, thought.fence, thought.name, value, used=used)
            self._on_advanced(moved)
            span.set({"concilium.outcome": value["kind"]})
            log.info("thought", **names, kind=value["kind"], mode=meter.mode)
        except StaleLease:
            span.fail("stale-lease")
            log.info("thought.stale", **names)
        except ConciliumError as error:
            span.fail(error.type)
            log.warning("thought.uncommitted", **names, detail=error.detail)
        except Exception as error:
            span.fail(type(error).__name__)
            log.exception("thought.broke", **names)

    async def _while_held(self, thought: Thought) -> dict[str, JSON]:
        """Return the thought, renewing its lease meanwhile. Raises `StaleLease` once that is lost."""
        call = asyncio.create_task(self._think(thought.name, thought.turn))
        try:
            while not call.done():
                await asyncio.wait({call}, timeout=thought.ttl_s / _RENEWALS)
                if not call.done() and await self._lost(thought):
                    raise StaleLease("the lease was lost while the engine was thinking")
            return call.result()
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    async def _lost(self, thought: Thought) -> bool:
        try:
            return bool(await self._ledger.renew_thoughts(self._holder, ((thought.task_id, thought.fence),)))
        except ConciliumError as error:
            # Not known to be lost; the fence judges the commit.
            log.warning("thought.unrenewed", task=thought.task_id, detail=error.detail)
            return False

    async def _think(self, name: str, turn: Turn) -> dict[str, JSON]:
        if name.startswith(REFORMULATE):
            return (await self._planner.reformulate(turn, name.removeprefix(REFORMULATE))).model_dump(mode="json")
        return (await self._planner.plan(turn)).model_dump(mode="json")
