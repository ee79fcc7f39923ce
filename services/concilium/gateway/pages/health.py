"""The page for owners without a Grafana: the figures of `/metrics` that matter now, and what needs a look."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from concilium.contracts.base import utc_now
from concilium.contracts.nodes import NodeState
from concilium.contracts.states import TaskState
from concilium.gateway.figures import Figures

WAIT_S = 300.0
"""As the alert StepsWait."""
BACKUP_S = 2 * 86_400.0
"""As the alert BackupTooOld."""
VANISHED_S = 120.0
"""As the alert NodeVanished."""
ROOM = 4
"""As the alert DiskLow: times the reserve."""
FULL = 100.0
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


@dataclass(frozen=True)
class Bar:
    """One figure, drawn."""

    label: str
    value: str
    length: float
    """0 to `FULL`."""
    bad: bool = False


@dataclass(frozen=True)
class Group:
    """Figures that belong together."""

    title: str
    bars: tuple[Bar, ...]


def groups(figures: Figures) -> list[Group]:
    """Return what is drawn; a group without figures is left out."""
    stats = figures.stats
    made = (
        Group("Tasks", _counts({state.value: stats.tasks.get(state.value, 0) for state in TaskState}, set())),
        Group("Steps that wait, by agent", _waiting(figures)),
        Group("Callbacks", _counts(stats.outbox, {"dead"})),
        Group("Budgets", tuple(_budgets(figures))),
        Group(f"Owed this month, {figures.nodes.currency}", _owed(figures)),
        Group("Nodes", tuple(_fleet(figures))),
    )
    return [group for group in made if group.bars]


def _counts(counts: Mapping[str, int], bad: set[str]) -> tuple[Bar, ...]:
    most = max(counts.values(), default=0)
    return tuple(
        Bar(name, str(count), FULL * count / most if most else 0.0, bad=name in bad and count > 0)
        for name, count in counts.items()
    )


def _waiting(figures: Figures) -> tuple[Bar, ...]:
    ready, oldest = figures.stats.ready, figures.stats.oldest_s
    agents = sorted({*figures.agents, *ready})
    most = max(ready.values(), default=0)
    return tuple(
        Bar(
            agent,
            f"{ready.get(agent, 0)}" + (f", the oldest for {span(oldest[agent])}" if agent in oldest else ""),
            FULL * ready.get(agent, 0) / most if most else 0.0,
            bad=oldest.get(agent, 0.0) > WAIT_S,
        )
        for agent in agents
    )


def _budgets(figures: Figures) -> Iterator[Bar]:
    for budget in figures.nodes.budgets:
        value = f"{budget.used:.0%} of {budget.limit:.2f} {figures.nodes.currency}"
        yield Bar(budget.budget, value, min(FULL, FULL * budget.used), bad=budget.used >= figures.warn_at)


def _owed(figures: Figures) -> tuple[Bar, ...]:
    rows = [row for row in figures.nodes.rows if row.total]
    most = max((row.total for row in rows), default=None)
    return tuple(Bar(row.name, f"{row.total:.2f}", FULL * float(row.total / most)) for row in rows if most)


def _fleet(figures: Figures) -> Iterator[Bar]:
    for node in figures.fleet:
        away = None if node.last_seen_at is None else (utc_now() - node.last_seen_at).total_seconds()
        seen = "never seen" if away is None else f"seen {span(away)} ago"
        here = node.takes_work and away is not None and away < VANISHED_S
        gone = node.state is NodeState.REVOKED
        value = str(node.state) if gone else f"{node.state}, {seen}"
        yield Bar(node.name, value, FULL if here else 0.0, bad=_vanished(node.state, away))


def _vanished(state: NodeState, away: float | None) -> bool:
    return state in {NodeState.ENROLLED, NodeState.DRAINING} and away is not None and away > VANISHED_S


def needs(figures: Figures) -> list[str]:
    """Return what an owner should look at, a sentence each; empty when all is well."""
    return [*_work_needs(figures), *_money_needs(figures), *_home_needs(figures)]


def _work_needs(figures: Figures) -> Iterable[str]:
    stats = figures.stats
    for agent, waits in sorted(stats.oldest_s.items()):
        if waits > WAIT_S:
            yield f"A step for {agent} has been waiting for {span(waits)}."
    if stats.outbox.get("dead"):
        yield f"{stats.outbox['dead']} callbacks were given up."
    if None in figures.depths.values():
        yield "The queue does not answer: work goes on slowly."
    for node in figures.fleet:
        away = None if node.last_seen_at is None else (utc_now() - node.last_seen_at).total_seconds()
        if away is not None and _vanished(node.state, away):
            yield f"The node {node.name} was seen last {span(away)} ago."


def _money_needs(figures: Figures) -> Iterable[str]:
    for budget in figures.nodes.budgets:
        if budget.used >= figures.warn_at:
            yield f"{budget.used:.0%} of this month's budget of {budget.budget} is used."


def _home_needs(figures: Figures) -> Iterable[str]:
    for place, free in figures.free.items():
        if free < ROOM * figures.reserve:
            yield f"{free / 2**30:.1f} GiB are free for {place}; below {figures.reserve / 2**30:.1f} no task is taken."
    if figures.backup_at is None:
        yield "This mesh was never backed up: concilium backup."
    elif (age := utc_now().timestamp() - figures.backup_at) > BACKUP_S:
        yield f"The newest backup is {span(age)} old."


def span(seconds: float) -> str:
    """Return a time as people say it, in its largest unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
