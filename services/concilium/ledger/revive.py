"""What a restored ledger needs before it carries on: time has passed, and others may know a later history.

A backup is a moment of the past. Between it and the restore deadlines went by although nobody could work, leases were
held by runners that are gone, and agents elsewhere may have seen what the lost history did next. So the time between
is given back, leases are over, and the fences of unfinished work enter a new era, which every agent takes for newer.
"""

from sqlalchemy import Connection, CursorResult, select, update
from sqlalchemy.sql.elements import ColumnElement

from concilium.contracts import limits
from concilium.contracts.states import StepState, TaskState
from concilium.ledger import schema

_t, _s = schema.tasks.c, schema.steps.c
_OVER = [state.value for state in TaskState if state.terminal]
_OPEN = [state.value for state in StepState if not state.terminal]


def revive(conn: Connection, taken_at: float, now: float) -> int:
    """Make a restored ledger ready to carry on; return the number of unfinished tasks.

    Args:
        conn: inside a write transaction of the restored database, at the newest schema.
        taken_at: when the backup was taken, seconds since the epoch.
        now: the present, by the clock the ledger will live by.
    """
    gone = max(0.0, now - taken_at)
    unfinished = select(_t.id).where(_t.state.not_in(_OVER))
    counting = unfinished.where(_t.paused_at.is_(None))
    open_steps = update(schema.steps).where(_s.state.in_(_OPEN), _s.task_id.in_(unfinished))
    conn.execute(
        open_steps.values(
            fence=_next_era(_s.fence),
            deadline_at=_s.deadline_at + gone,
            not_before=_s.not_before + gone,
            ring_at=now,
            ring_delay_s=limits.RING_BASE_S,
        )
    )
    conn.execute(open_steps.where(_s.state == StepState.WORKING.value).values(lease_until=now))
    # The time a task waits for its caller is given back when the answer comes, this gap with it.
    conn.execute(open_steps.where(_s.task_id.in_(counting)).values(task_deadline_at=_s.task_deadline_at + gone))
    conn.execute(update(schema.tasks).where(_t.id.in_(counting)).values(deadline_at=_t.deadline_at + gone))
    conn.execute(update(schema.tasks).where(_t.think.is_not(None)).values(think_until=now))
    queued = schema.outbox.c.state == "queued"
    conn.execute(update(schema.outbox).where(queued, schema.outbox.c.due_at > now).values(due_at=now))
    entered = update(schema.tasks).where(_t.id.in_(unfinished)).values(think_fence=_next_era(_t.think_fence))
    done: CursorResult[object] = conn.execute(entered)
    return done.rowcount


def _next_era(fence: "ColumnElement[int]") -> "ColumnElement[int]":
    return (fence // limits.FENCE_ERA + 1) * limits.FENCE_ERA
