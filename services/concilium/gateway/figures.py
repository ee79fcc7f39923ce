"""What stands in the ledger and on the disk at one moment, for `/metrics`."""

import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from concilium.contracts.costs import By, CostReport
from concilium.contracts.nodes import Node, NodeState
from concilium.contracts.states import TaskState
from concilium.home import Home
from concilium.ledger import Asked, DeliveryState, Ledger, Stats

FRESH_S = 1.0
"""Scrapes closer together than this see the same figures, however many there are."""


@dataclass(frozen=True)
class Figures:
    """Read together; see `families` for what they mean."""

    stats: Stats
    nodes: CostReport
    keys: CostReport
    fleet: tuple[Node, ...]
    """Rented nodes."""
    agents: tuple[str, ...]
    """Those that this home's runner serves: they have a figure even when it is 0."""
    depths: Mapping[str, int | None] = field(default_factory=dict)
    """Agent to hints in its queue; None: the queue did not answer."""
    free: Mapping[str, int] = field(default_factory=dict)
    """Place to free bytes."""
    reserve: int = 0
    warn_at: float = 0.0
    """The part of a budget from which on callers are warned."""
    backup_at: float | None = None
    """Seconds since the epoch."""


class Reader:
    """Reads figures, at most once in `FRESH_S`."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._found: Figures | None = None
        self._until = 0.0

    async def read(self, ledger: Ledger, home: Home, depths: Mapping[str, int | None]) -> Figures:
        """Return the figures of now. Raises `Unavailable` as the ledger."""
        async with self._lock:
            if self._found is None or time.monotonic() >= self._until:
                self._found = await _read(ledger, home, depths)
                self._until = time.monotonic() + FRESH_S
            return self._found


async def _read(ledger: Ledger, home: Home, depths: Mapping[str, int | None]) -> Figures:
    free, backup_at = await asyncio.to_thread(_on_disk, home)
    return Figures(
        stats=await ledger.stats(),
        nodes=await ledger.costs(Asked(By.NODE)),
        keys=await ledger.costs(Asked(By.KEY)),
        fleet=tuple(await ledger.list_nodes()),
        agents=tuple(home.agent_urls()),
        warn_at=home.config.budgets.warn_at,
        depths=depths,
        free=free,
        reserve=home.config.ledger.min_free_bytes,
        backup_at=backup_at,
    )


def _on_disk(home: Home) -> tuple[dict[str, int], float | None]:
    free = {"home": shutil.disk_usage(home.root).free}
    if home.blobs.is_dir():
        free["blobs"] = shutil.disk_usage(home.blobs).free
    try:
        return free, home.last_backup.stat().st_mtime
    except FileNotFoundError:
        return free, None


def families(figures: Figures) -> Iterator[Metric]:
    """Yield the figures as metric families."""
    yield from _ledger(figures)
    yield from _queues(figures)
    yield from _money(figures)
    yield from _fleet(figures)
    yield _gauge("disk_free_bytes", "Bytes free, by place.", "place", figures.free)
    yield _gauge("disk_reserve_bytes", "Below so much free disk no new task is taken.", "", {"": figures.reserve})
    if figures.backup_at is not None:
        yield _gauge("backup_timestamp_seconds", "When the newest backup was taken.", "", {"": figures.backup_at})


def _ledger(figures: Figures) -> Iterator[Metric]:
    stats = figures.stats
    none = dict.fromkeys((state.value for state in TaskState), 0)
    yield _gauge("tasks", "Tasks kept, by state.", "state", none | stats.tasks)
    yield _gauge("leases", "Leases held by runners.", "", {"": stats.leases})
    yield _gauge("thinking_turns", "Turns that wait for an engine.", "", {"": stats.thinking})
    letters = dict.fromkeys((state.value for state in DeliveryState), 0)
    yield _gauge("outbox", "Callbacks kept, by state.", "state", letters | stats.outbox)
    for name, text, value in (
        ("commits", "Write transactions.", stats.commits),
        ("operations", "Operations that write transactions carried.", stats.operations),
        ("statements", "Statements of write transactions.", stats.statements),
    ):
        yield CounterMetricFamily(f"concilium_ledger_{name}", text, value=value)


def _queues(figures: Figures) -> Iterator[Metric]:
    none: dict[str, float] = dict.fromkeys(figures.agents, 0)
    stats = figures.stats
    yield _gauge("ready_steps", "Steps that may be claimed.", "agent", none | stats.ready)
    yield _gauge(
        "oldest_ready_seconds",
        "How long the oldest of them waits, those of low priority aside.",
        "agent",
        none | stats.oldest_s,
    )
    known = {agent: depth for agent, depth in figures.depths.items() if depth is not None}
    yield _gauge("queue_depth", "Hints in the queue.", "agent", known)
    yield _gauge("queue_up", "Whether the queue answers.", "", {"": int(len(known) == len(figures.depths))})


def _money(figures: Figures) -> Iterator[Metric]:
    currency = figures.nodes.currency
    month = _family("cost_month", "Owed this month, by node, engine and key.", "kind", "name", "currency")
    for row in figures.nodes.rows:
        month.add_metric([row.label, row.name, currency], float(row.total))
    by_key: defaultdict[str, float] = defaultdict(float)
    for row in figures.keys.rows:  # names of keys need not differ
        by_key[row.label or row.name] += float(row.total)
    for key, total in by_key.items():
        month.add_metric(["key", key, currency], total)
    yield month
    limit = _family("budget", "What a month may cost.", "budget", "currency")
    used = _family("budget_used_ratio", "Part of a budget used this month (1 is its limit).", "budget")
    for budget in figures.nodes.budgets:
        limit.add_metric([budget.budget, currency], float(budget.limit))
        used.add_metric([budget.budget], budget.used)
    yield limit
    yield used
    yield _gauge("budget_warn_ratio", "Part of a budget from which on callers are warned.", "", {"": figures.warn_at})


def _fleet(figures: Figures) -> Iterator[Metric]:
    state = _family("node_state", "1 for the state that a rented node is in.", "node", "state")
    for node in figures.fleet:
        for name in NodeState:
            state.add_metric([node.name, name.value], float(node.state is name))
    yield state
    yield _gauge("node_last_seen_timestamp_seconds", "When it answered last.", "node", _times(figures, "last_seen_at"))
    ends = _times(figures, "certificate_until")
    yield _gauge("certificate_expiry_timestamp_seconds", "When its certificate ends.", "node", ends)
    skews = {node.name: node.skew_s for node in figures.fleet if node.skew_s is not None}
    yield _gauge("node_clock_skew_seconds", "How far its clock is ahead of home's.", "node", skews)
    refusals = CounterMetricFamily("concilium_node_refusals", "Tokens and keys turned away.", labels=["node"])
    for node in figures.fleet:
        refusals.add_metric([node.name], node.refusals)
    yield refusals


def _times(figures: Figures, name: str) -> dict[str, float]:
    """Return a time of every node that is not revoked and has one."""
    live = (node for node in figures.fleet if node.state is not NodeState.REVOKED)
    return {node.name: at.timestamp() for node in live if (at := getattr(node, name)) is not None}


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"concilium_{name}", text, labels=labels)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    """Return a gauge with one value for each value of its label; an empty label: with one value."""
    made = _family(name, text, *([label] if label else []))
    for key, value in values.items():
        made.add_metric([key] if label else [], value)
    return made
