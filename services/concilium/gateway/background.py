"""What the control plane does without being asked: rings again, takes back, delivers, thinks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from concilium.brain.language_planner import LanguagePlanner
from concilium.brain.loop import Thinker, Wake
from concilium.contracts.costs import BudgetState, By
from concilium.contracts.errors import ConciliumError
from concilium.engine import EngineClient
from concilium.engine.loading import Patient
from concilium.gateway.state import Gateway
from concilium.ledger import Advanced, Asked, Ledger
from concilium.queue import Notices

Loop = Callable[[], Awaitable[None]]

SWEEP_EVERY_S = 1.0
LOOK_AT_BUDGETS_EVERY_S = 10.0
RESTART_AFTER_S = 1.0
FIRST_TIDY_S = 600.0
"""A mesh that is started anew every day is tidied too."""

log = structlog.get_logger("concilium.background")


async def reconcile(gateway: Gateway) -> None:
    """Sweep the ledger about once a second and ring what it says, until cancelled."""
    while True:
        try:
            await sweep_once(gateway)
        except ConciliumError as error:
            log.warning("sweep.refused", detail=error.detail)
        await asyncio.sleep(SWEEP_EVERY_S)


async def tidy(gateway: Gateway) -> None:
    """Apply the retention soon after the start and then as often as it says, until cancelled."""
    keep = gateway.home.config.retention
    pause = min(FIRST_TIDY_S, keep.every_hours * 3600)
    while True:
        await asyncio.sleep(pause)
        pause = keep.every_hours * 3600
        try:
            report = await gateway.ledger.gc(keep)
        except ConciliumError as error:
            log.warning("gc.refused", detail=error.detail)
        else:
            log.info("gc", **report.model_dump())


async def think(gateway: Gateway, wake: Wake) -> None:
    """Let the brain think with the configured engine, until cancelled."""

    def moved_on(advanced: Advanced) -> None:
        gateway.ring(advanced.rings)
        gateway.running.sender.kick()

    async with EngineClient(gateway.home.config.engine, gateway.home.models) as engine:
        patient = Patient(engine, gateway.engine_watch)
        await Thinker(gateway.ledger, LanguagePlanner(patient, wake.brain.index), wake, moved_on).run()


async def watch_budgets(gateway: Gateway) -> None:
    """Log each budget that has come to another state, until cancelled."""
    known: dict[str, BudgetState] = {}
    while True:
        try:
            report = await gateway.ledger.costs(Asked(By.MONTH))
        except ConciliumError as error:
            log.warning("budgets.unknown", detail=error.detail)
        else:
            for budget in report.budgets:
                if known.get(budget.budget, BudgetState.OPEN) is not budget.state:
                    said = budget.model_dump(mode="json") | {"currency": report.currency}
                    (log.info if budget.state is BudgetState.OPEN else log.warning)("budget", **said)
                known[budget.budget] = budget.state
        await asyncio.sleep(LOOK_AT_BUDGETS_EVERY_S)


async def hear(ledger: Ledger, notices: Notices) -> None:
    """Wake those who wait for tasks that another replica changed, until cancelled."""
    async for task_ids in notices.listen():
        ledger.wake(task_ids)


async def sweep_once(gateway: Gateway) -> None:
    """Take back expired leases, end what is past its deadline, ring the steps that wait unheard."""
    gateway.depths = await asyncio.to_thread(depths, gateway)
    swept = await gateway.ledger.sweep(gateway.depths)
    gateway.ring(swept.rings)
    if swept.expired or swept.timed_out:
        log.info("swept", expired=swept.expired, timed_out=swept.timed_out, rings=len(swept.rings))
    if swept.timed_out:
        gateway.running.sender.kick()


def depths(gateway: Gateway) -> dict[str, int | None]:
    """Return how many hints wait for each agent; None for all once the queue does not answer. Blocks."""
    found: dict[str, int | None] = dict.fromkeys(gateway.home.catalog.agents)
    for agent in gateway.home.catalog.agents:
        depth = gateway.running.doorbell.depth(agent)
        if depth is None:
            return dict.fromkeys(found)
        found[agent] = depth
    return found


@asynccontextmanager
async def running(loops: dict[str, Loop]) -> AsyncIterator[None]:
    """Run loops beside the server; one that breaks is logged and started again."""
    tasks = [asyncio.create_task(_kept(name, loop), name=name) for name, loop in loops.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kept(name: str, loop: Loop) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("loop.broke", loop=name)
        await asyncio.sleep(RESTART_AFTER_S)
