"""Queries on what is committed."""

from sqlalchemy import Connection, Select, bindparam, case, func, select

from concilium.contracts.errors import NotFound
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Event, Priority, TaskView
from concilium.contracts.turn import StepRun
from concilium.ledger import schema
from concilium.ledger.claim import READY
from concilium.ledger.leases import WORKING
from concilium.ledger.models import Delivery, DeliveryState, History, Stats
from concilium.ledger.outbox import deliveries, delivery_of
from concilium.ledger.rows import (
    STEPS,
    TASKS,
    StepRow,
    TaskRow,
    event_of,
    record_of,
    run_of,
    step_row,
    task_row,
    view_of,
)

_t, _s, _e = schema.tasks.c, schema.steps.c, schema.events.c
_TASK = TASKS.where(_t.id == bindparam("task_id"))
_RUNS = STEPS.where(_s.task_id == bindparam("task_id")).order_by(_s.ordinal)
_EVENTS = (
    select(_e.seq, _e.at, _e.body)
    .where(_e.task_id == bindparam("task_id"), _e.seq > bindparam("after"))
    .order_by(_e.seq)
    .limit(bindparam("count"))
)
_LAST_SEQ = select(_t.last_seq).where(_t.id == bindparam("task_id"))
ALL = 2**31 - 1


def get(conn: Connection, task_id: str) -> TaskView:
    """Return a task. Raises `NotFound`."""
    return view_of(*_task(conn, task_id))


def _task(conn: Connection, task_id: str) -> tuple[TaskRow, list[StepRow]]:
    found = conn.execute(_TASK, {"task_id": task_id}).first()
    if found is None:
        raise NotFound(f"no task '{task_id}'")
    return task_row(found), [step_row(row) for row in conn.execute(_RUNS, {"task_id": task_id})]


def list_tasks(
    conn: Connection, key_id: str | None, state: TaskState | None, limit: int, before: str | None
) -> list[TaskView]:
    """Return tasks, newest first; ``before`` is the id of the last one already seen."""
    query = TASKS.order_by(_t.id.desc()).limit(limit)
    if key_id is not None:
        query = query.where(_t.key_id == key_id)
    if state is not None:
        query = query.where(_t.state == state.value)
    if before is not None:
        query = query.where(_t.id < before)
    rows = [task_row(row) for row in conn.execute(query)]
    runs: dict[str, list[StepRow]] = {row.id: [] for row in rows}
    for found in conn.execute(STEPS.where(_s.task_id.in_(runs)).order_by(_s.task_id, _s.ordinal)):
        run = step_row(found)
        runs[run.task_id].append(run)
    return [view_of(row, runs[row.id]) for row in rows]


def events(conn: Connection, task_id: str, after: int, limit: int) -> list[Event]:
    """Return a task's events with a higher number than ``after``, in order. Raises `NotFound`."""
    rows = conn.execute(_EVENTS, {"task_id": task_id, "after": after, "count": limit}).all()
    if not rows:
        last_seq(conn, task_id)
    return [event_of(task_id, row.seq, row.at, row.body) for row in rows]


def last_seq(conn: Connection, task_id: str) -> int:
    """Return the number of a task's newest event. Raises `NotFound`."""
    found = conn.execute(_LAST_SEQ, {"task_id": task_id}).first()
    if found is None:
        raise NotFound(f"no task '{task_id}'")
    return int(found.last_seq)


def steps(conn: Connection, task_id: str) -> list[StepRun]:
    """Return every attempt of a task, in the order they were made. Raises `NotFound`."""
    return [run_of(run) for run in _task(conn, task_id)[1]]


def history(conn: Connection, task_id: str) -> History:
    """Return everything the ledger holds of a task. Raises `NotFound`."""
    row, runs = _task(conn, task_id)
    return History(
        task=view_of(row, runs),
        events=tuple(events(conn, task_id, 0, ALL)),
        steps=tuple(record_of(run) for run in runs),
        deliveries=tuple(delivery_of(found) for found in conn.execute(deliveries(task_id=task_id))),
    )


def dead_deliveries(conn: Connection) -> list[Delivery]:
    """Return the callbacks given up, oldest first."""
    return [delivery_of(row) for row in conn.execute(deliveries(state=DeliveryState.DEAD))]


def referred(conn: Connection, task_ids: list[str]) -> dict[str, set[str]]:
    """Return the blobs that each task refers to."""
    refs = schema.blob_refs.c
    found: dict[str, set[str]] = {}
    for row in conn.execute(select(refs.task_id, refs.sha256).where(refs.task_id.in_(task_ids))):
        found.setdefault(row.task_id, set()).add(row.sha256)
    return found


def lease_holds(conn: Connection, task_id: str, step: str, attempt: int, fence: int) -> bool:
    """Whether a lease is current."""
    same = (_s.task_id == task_id) & (_s.step == step) & (_s.attempt == attempt) & (_s.fence == fence)
    return conn.execute(select(_s.fence).where(same, _s.state == StepState.WORKING.value)).first() is not None


def key_sees(conn: Connection, sha256: str, key_id: str) -> bool:
    """Whether a key put a blob or owns a task that refers to it."""
    refs, owners = schema.blob_refs.c, schema.blob_owners.c
    owned = select(owners.sha256).where(owners.sha256 == sha256, owners.key_id == key_id)
    referred = (
        select(refs.sha256)
        .join_from(schema.blob_refs, schema.tasks, refs.task_id == _t.id)
        .where(refs.sha256 == sha256, _t.key_id == key_id)
    )
    return conn.execute(owned.union_all(referred).limit(1)).first() is not None


def counts(conn: Connection, now: float) -> Stats:
    """Return the counts of what there is."""
    box = schema.outbox.c
    by_state = select(_t.state, func.count()).group_by(_t.state)
    urgent = func.min(case((_s.priority < Priority.LOW.rank, _s.not_before)))
    claimable = select(_s.agent, func.count(), urgent).where(READY, _s.not_before <= now)
    ready = conn.execute(claimable.group_by(_s.agent)).all()
    queued = select(box.state, func.count()).group_by(box.state)
    leased = select(func.count()).select_from(schema.steps).where(WORKING)
    thinking = select(func.count()).select_from(schema.tasks).where(_t.think.is_not(None))
    return Stats(
        tasks=_numbers(conn, by_state),
        ready={agent: count for agent, count, _ in ready},
        oldest_s={agent: now - since for agent, _, since in ready if since is not None},
        outbox=_numbers(conn, queued),
        leases=conn.execute(leased).scalar_one(),
        thinking=conn.execute(thinking).scalar_one(),
    )


def _numbers(conn: Connection, query: "Select[str, int]") -> dict[str, int]:
    return {row[0]: row[1] for row in conn.execute(query)}
