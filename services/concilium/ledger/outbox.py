"""Callbacks on their way out: in order per task and target, at least once, dead after too many failures."""

import random

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, exists, select, text

from concilium.contracts.errors import Conflict, NotFound
from concilium.ledger import schema
from concilium.ledger.codec import at
from concilium.ledger.models import Delivery, DeliveryState
from concilium.ledger.tx import Tx

HOLD_S = 60.0
"""A delivery handed out is not handed out again for so long, unless it is reported failed before."""
RETRY_BASE_S = 5.0
RETRY_MAX_S = 3600.0

_o = schema.outbox.c
_earlier = schema.outbox.alias("earlier")
_BLOCKED = exists().where(
    _earlier.c.task_id == _o.task_id,
    _earlier.c.target == _o.target,
    _earlier.c.seq < _o.seq,
    _earlier.c.state == DeliveryState.QUEUED.value,
)
DELIVERIES = select(*_o, schema.tasks.c.key_id, schema.tasks.c.traceparent).join_from(
    schema.outbox, schema.tasks, _o.task_id == schema.tasks.c.id
)
_DUE = (
    DELIVERIES.where(text("outbox.state = 'queued'"), _o.due_at <= bindparam("now"), ~_BLOCKED)
    .order_by(_o.due_at)
    .limit(bindparam("count"))
)
_ANY_DUE = select(_o.id).where(text("outbox.state = 'queued'"), _o.due_at <= bindparam("now")).limit(1)
_DUE_FREE = _DUE.with_for_update(of=schema.outbox, skip_locked=True)


def any_due(conn: Connection, now: float) -> bool:
    """Whether a callback is due, so that nothing is written while none is."""
    return conn.execute(_ANY_DUE, {"now": now}).first() is not None


def take_due(tx: Tx, limit: int) -> list[Delivery]:
    """Hand out callbacks that are due, the oldest of each task and target first, and hold them for `HOLD_S`."""
    rows = tx.conn.execute(_DUE_FREE if tx.shared else _DUE, {"now": tx.now, "count": limit}).all()
    if rows:
        hold = schema.outbox.update().where(_o.id.in_([row.id for row in rows])).values(due_at=tx.now + HOLD_S)
        tx.conn.execute(hold)
    return [delivery_of(row) for row in rows]


def delivered(tx: Tx, delivery_id: str) -> None:
    """Note that the receiver took it. Raises `NotFound`."""
    _change(tx, delivery_id, state=DeliveryState.DELIVERED.value, delivered_at=tx.now, error=None)


def failed(tx: Tx, delivery_id: str, error: str, attempts_max: int) -> DeliveryState:
    """Note a failed attempt: try again later, or give up after ``attempts_max``.

    Raises:
        NotFound: there is no such delivery.
        Conflict: it is not under way.
    """
    row = _find(tx, delivery_id)
    if row.state != DeliveryState.QUEUED.value:
        raise Conflict(f"delivery {delivery_id} is {row.state}, not under way")
    attempts = row.attempts + 1
    state = DeliveryState.DEAD if attempts >= attempts_max else DeliveryState.QUEUED
    wait = min(RETRY_BASE_S * 2 ** (attempts - 1), RETRY_MAX_S) * random.uniform(0.8, 1.2)  # noqa: S311  # jitter
    text_only = error.replace("\x00", "")[:2000]
    _change(tx, delivery_id, state=state.value, attempts=attempts, error=text_only, due_at=tx.now + wait)
    return state


def replay(tx: Tx, delivery_id: str) -> Delivery:
    """Queue a dead delivery anew, under the same id.

    Raises:
        NotFound: there is no such delivery.
        Conflict: it is not dead.
    """
    if _find(tx, delivery_id).state != DeliveryState.DEAD.value:
        raise Conflict(f"delivery {delivery_id} is not dead; only dead ones are replayed")
    _change(tx, delivery_id, state=DeliveryState.QUEUED.value, attempts=0, due_at=tx.now)
    return delivery_of(_find(tx, delivery_id))


def deliveries(task_id: str | None = None, state: DeliveryState | None = None) -> "Select[*tuple[object, ...]]":
    """Return the query for callbacks of a task, or in a state, oldest first."""
    wanted: list[ColumnElement[bool]] = []
    if task_id is not None:
        wanted.append(_o.task_id == task_id)
    if state is not None:
        wanted.append(_o.state == state.value)
    return DELIVERIES.where(*wanted).order_by(_o.created_at, _o.seq)


def delivery_of(row: "Row[*tuple[object, ...]]") -> Delivery:
    """Return a row of `DELIVERIES` as a model."""
    values = row._mapping
    return Delivery(
        id=values["id"],
        task_id=values["task_id"],
        key_id=values["key_id"],
        traceparent=values["traceparent"],
        url=values["target"],
        type=values["type"],
        payload=values["payload"],
        state=DeliveryState(values["state"]),
        attempts=values["attempts"],
        created_at=at(values["created_at"]),
        due_at=at(values["due_at"]),
        error=values["error"],
    )


def _find(tx: Tx, delivery_id: str) -> "Row[*tuple[object, ...]]":
    query = DELIVERIES.where(_o.id == delivery_id)
    found = tx.conn.execute(query.with_for_update(of=schema.outbox) if tx.shared else query).first()
    if found is None:
        raise NotFound(f"no delivery '{delivery_id}'")
    return found


def _change(tx: Tx, delivery_id: str, **values: object) -> None:
    changed = tx.conn.execute(schema.outbox.update().where(_o.id == delivery_id).values(**values))
    if changed.rowcount != 1:
        raise NotFound(f"no delivery '{delivery_id}'")
