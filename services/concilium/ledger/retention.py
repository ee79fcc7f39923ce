"""What refers to blobs, and what is old enough to go."""

from sqlalchemy import Connection, CursorResult, Delete, delete, select

from concilium.contracts import limits
from concilium.contracts.states import TaskState
from concilium.ledger import schema
from concilium.ledger.tx import Tx, insert_new

DAY_S = 86_400.0
_t, _e, _r = schema.tasks.c, schema.events.c, schema.blob_refs.c
_OVER = [state.value for state in TaskState if state.terminal]
BATCH = 200
_OWN = insert_new(schema.blob_owners)


def old_tasks(conn: Connection, before: float) -> list[str]:
    """Return finished tasks that last changed before a time, the oldest first, at most `BATCH`."""
    query = select(_t.id).where(_t.state.in_(_OVER), _t.updated_at < before).order_by(_t.updated_at).limit(BATCH)
    return list(conn.execute(query).scalars())


def unanswered(conn: Connection, before: float) -> list[str]:
    """Return tasks that have waited for their caller since before a time."""
    waits = [TaskState.INPUT_REQUIRED.value, TaskState.AUTH_REQUIRED.value]
    return list(conn.execute(select(_t.id).where(_t.state.in_(waits), _t.paused_at < before)).scalars())


def remove_tasks(tx: Tx, task_ids: list[str]) -> int:
    """Delete finished tasks with all that hangs on them; return how many."""
    tx.conn.execute(delete(schema.idempotency).where(schema.idempotency.c.task_id.in_(task_ids)))
    return _count(tx, delete(schema.tasks).where(_t.id.in_(task_ids), _t.state.in_(_OVER)))


def remove_events(tx: Tx, before: float) -> int:
    """Delete old events of finished tasks; return how many."""
    over = select(_t.id).where(_t.state.in_(_OVER), _t.updated_at < before)
    return _count(tx, delete(schema.events).where(_e.at < before, _e.task_id.in_(over)))


def remove_idempotency(tx: Tx) -> int:
    """Delete idempotency keys past their seven days; return how many."""
    limit = tx.now - limits.IDEMPOTENCY_DAYS * DAY_S
    return _count(tx, delete(schema.idempotency).where(schema.idempotency.c.created_at < limit))


def unreferenced(tx: Tx, digests: list[str]) -> list[str]:
    """Return those blobs that no task refers to, and forget who put them."""
    kept = set(tx.conn.execute(select(_r.sha256).where(_r.sha256.in_(digests))).scalars())
    free = [digest for digest in digests if digest not in kept]
    tx.conn.execute(delete(schema.blob_owners).where(schema.blob_owners.c.sha256.in_(free)))
    return free


def own_blob(tx: Tx, sha256: str, key_id: str) -> None:
    """Note that a key put a blob and may read it."""
    tx.conn.execute(_OWN[tx.conn.dialect.name], {"sha256": sha256, "key_id": key_id, "at": tx.now})


def _count(tx: Tx, statement: Delete) -> int:
    result: CursorResult[object] = tx.conn.execute(statement)
    return result.rowcount
