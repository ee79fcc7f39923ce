"""The reconciler's questions: what expired, and what to ring again."""

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, func, or_, select, text

from concilium.contracts import limits
from concilium.contracts.states import TaskState
from concilium.ledger import schema
from concilium.ledger.claim import READY
from concilium.ledger.leases import CLOCK_SLACK_S, WORKING
from concilium.ledger.models import Ring
from concilium.ledger.notes import ring_of
from concilium.ledger.rows import STEPS, step_row
from concilium.ledger.tx import Tx

_s, _t = schema.steps.c, schema.tasks.c
BATCH = 500
_EXPIRED = (
    select(_s.task_id, _s.step, _s.attempt)
    .where(
        WORKING,
        or_(_s.lease_until < bindparam("now"), _s.lease_until > bindparam("ahead"), _s.deadline_at < bindparam("late")),
    )
    .order_by(_s.lease_until)
    .limit(BATCH)
)
_OVERDUE = (
    select(_t.id)
    .where(text("tasks.state IN ('submitted', 'working', 'auth-required')"), _t.paused_at.is_(None))
    .where(_t.deadline_at <= bindparam("now"))
    .order_by(_t.deadline_at)
    .limit(BATCH)
)
_SILENT = (
    STEPS.join_from(schema.steps, schema.tasks, _s.task_id == _t.id)
    .where(
        READY,
        _s.ring_at <= bindparam("now"),
        _t.state.in_([TaskState.SUBMITTED.value, TaskState.WORKING.value]),
    )
    .order_by(_s.ring_at)
    .limit(limits.RING_SWEEP_MAX)
)
_SILENT_FREE = _SILENT.with_for_update(of=schema.steps, skip_locked=True)
_READY_PER_AGENT = select(_s.agent, func.count().label("steps")).where(READY).group_by(_s.agent)


def lost_leases(conn: Connection, now: float, ttl_s: float) -> list[tuple[str, str, int]]:
    """Return the attempts whose lease ran out, and those more than a lease's time past their own deadline.

    A lease that lies further ahead than any grant was given before the clock was set back: it ran out too.
    """
    ahead = now + ttl_s + CLOCK_SLACK_S
    rows = conn.execute(_EXPIRED, {"now": now, "ahead": ahead, "late": now - ttl_s})
    return [(row.task_id, row.step, row.attempt) for row in rows]


def overdue_tasks(conn: Connection, now: float) -> list[str]:
    """Return the tasks whose deadline has passed."""
    return [row.id for row in conn.execute(_OVERDUE, {"now": now})]


def any_silent(conn: Connection, now: float) -> bool:
    """Whether a ready step may have to be rung again."""
    return conn.execute(select(_s.step).where(READY, _s.ring_at <= now).limit(1)).first() is not None


def ring_again(tx: Tx, depths: Mapping[str, int | None]) -> tuple[Ring, ...]:
    """Return the doorbells of ready steps that nobody has claimed, each with a doubling pause of 5 s to 5 min.

    An agent whose queue holds as many hints as it has ready steps is left alone; an unknown depth counts as empty.
    """
    covered = _covered(tx, depths)
    query = _SILENT_FREE if tx.shared else _SILENT
    if covered:
        query = query.where(_s.agent.not_in(covered))
    runs = [step_row(row) for row in tx.conn.execute(query, {"now": tx.now})]
    for run in runs:
        same = (_s.task_id == run.task_id) & (_s.step == run.step) & (_s.attempt == run.attempt)
        again = {
            "ring_at": tx.now + run.ring_delay_s,
            "ring_delay_s": min(2 * run.ring_delay_s, limits.RING_MAX_S),
        }
        tx.conn.execute(schema.steps.update().where(same).values(**again))
    return tuple(ring_of(run) for run in runs)


def _covered(tx: Tx, depths: Mapping[str, int | None]) -> list[str]:
    if not any(depths.values()):
        return []
    ready = tx.conn.execute(_READY_PER_AGENT)
    return sorted(row.agent for row in ready if (depths.get(row.agent) or 0) >= row.steps)
