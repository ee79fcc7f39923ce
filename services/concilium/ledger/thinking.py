"""The brain's leases: a turn that waits for an engine is taken, renewed, and moved on by one stored thought."""

from sqlalchemy import bindparam, select, text, tuple_

from concilium.contracts.base import JSON
from concilium.contracts.errors import NotFound, StaleLease
from concilium.contracts.prices import EngineUse
from concilium.contracts.states import TaskState
from concilium.ledger import schema
from concilium.ledger.codec import dumps
from concilium.ledger.draft import load
from concilium.ledger.models import Advanced, Thought
from concilium.ledger.rows import turn_of, view_of
from concilium.ledger.turns import advance
from concilium.ledger.tx import Tx, insert_new

_t = schema.tasks.c
_WAITING = (
    select(_t.id)
    .where(
        text("think IS NOT NULL"),
        _t.think_until <= bindparam("now"),
        _t.state.in_([TaskState.SUBMITTED.value, TaskState.WORKING.value]),
    )
    .order_by(_t.priority, _t.deadline_at)
    .limit(bindparam("count"))
)
_WAITING_FREE = _WAITING.with_for_update(skip_locked=True)
_STORE = insert_new(schema.thoughts)


def claim_thoughts(tx: Tx, holder: str, count: int) -> tuple[Thought, ...]:
    """Lease turns that wait for an engine: by priority, then deadline."""
    found = tx.conn.execute(_WAITING_FREE if tx.shared else _WAITING, {"now": tx.now, "count": count})
    return tuple(_grant(tx, task_id, holder) for task_id in [row.id for row in found])


def _grant(tx: Tx, task_id: str, holder: str) -> Thought:
    draft = load(tx, task_id)
    fence, ttl = draft.row.think_fence + 1, tx.rules.lease_ttl_s
    draft.change(think_fence=fence, think_holder=holder, think_until=tx.now + ttl)
    if draft.state is TaskState.SUBMITTED:
        draft.move(TaskState.WORKING)
    draft.save()
    turn = turn_of(draft.row, draft.runs, draft.thoughts(), tx.now)
    name, traceparent = draft.row.think or "", draft.row.traceparent
    return Thought(task_id=task_id, name=name, fence=fence, ttl_s=ttl, traceparent=traceparent, turn=turn)


def renew_thoughts(tx: Tx, holder: str, leases: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    """Prolong a holder's leases, each ``(task_id, fence)``, in one statement; return the tasks it has lost."""
    if not leases:
        return ()
    prolong = (
        schema.tasks.update()
        .where(_t.think.is_not(None), _t.think_holder == holder, tuple_(_t.id, _t.think_fence).in_(leases))
        .values(think_until=tx.now + tx.rules.lease_ttl_s)
        .returning(_t.id)
    )
    kept = {row.id for row in tx.conn.execute(prolong)}
    return tuple(task_id for task_id, _fence in leases if task_id not in kept)


def commit_thought(
    tx: Tx, task_id: str, fence: int, name: str, value: JSON, *, used: tuple[EngineUse, ...] = ()
) -> Advanced:
    """Store what the engine said and what asking it costs, under the current lease alone, and fold the turn on.

    Raises:
        StaleLease: the turn was taken by another, or decided, or is over.
    """
    try:
        draft = load(tx, task_id, lock_steps=True)
    except NotFound as error:
        raise StaleLease(f"{error.detail}; drop the thought") from error
    row = draft.row
    if row.think != name or (tx.rules.check_fence and row.think_fence != fence):
        raise StaleLease(f"the turn waits for {row.think!r} under fence {row.think_fence}; drop the thought")
    thought = {"task_id": task_id, "name": name, "value": dumps(value), "at": tx.now}
    stored = tx.conn.execute(_STORE[tx.conn.dialect.name], thought).rowcount
    draft.change(think=None, think_holder=None, think_until=None, thought_count=row.thought_count + stored)
    draft.charge_engines(used)
    advance(draft)
    draft.save()
    return Advanced(task=view_of(draft.row, draft.runs), rings=tuple(draft.rings))
