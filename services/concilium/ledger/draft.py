"""A task being changed inside one transaction: states are checked, events numbered, all written at once.

`check_task` and `check_step` are called here and nowhere else, so no other code decides what may follow what.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select

from concilium.contracts import limits
from concilium.contracts.base import JSON, new_id
from concilium.contracts.errors import ConciliumError, NotFound
from concilium.contracts.prices import EngineUse
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState, TaskState, check_step, check_task
from concilium.contracts.task import EventBody, Problem, StateEvent
from concilium.contracts.turn import Dispatch, Refuse
from concilium.ledger import schema
from concilium.ledger.charges import engine_charge, run_charge
from concilium.ledger.codec import dumps, loads
from concilium.ledger.models import Ring
from concilium.ledger.notes import ring_of, step_event, step_move
from concilium.ledger.rows import STEPS, TASKS, StepRow, TaskRow, step_row, task_row, view_of
from concilium.ledger.tx import Charge, TaskMove, Tx, insert_new, update_of

_TASK = TASKS.where(schema.tasks.c.id == bindparam("task_id"))
_TASK_STEPS = STEPS.where(schema.steps.c.task_id == bindparam("task_id")).order_by(schema.steps.c.ordinal)
_LOCK_OPEN = (
    select(schema.steps.c.attempt)
    .where(
        schema.steps.c.task_id == bindparam("task_id"),
        schema.steps.c.state.in_([state.value for state in StepState if not state.terminal]),
    )
    .order_by(schema.steps.c.ordinal)
    .with_for_update()
)
_THOUGHTS = select(schema.thoughts.c.name, schema.thoughts.c.value).where(
    schema.thoughts.c.task_id == bindparam("task_id")
)
_ADD_TASK = schema.tasks.insert()
_ADD_STEPS = schema.steps.insert()
_TASK_COLUMNS, _STEP_COLUMNS = tuple(schema.tasks.c.keys()), tuple(schema.steps.c.keys())
_ADD_EVENTS = schema.events.insert()
_ADD_OUTBOX = schema.outbox.insert()
_ADD_REFS = insert_new(schema.blob_refs)


@dataclass
class Draft:
    """A task row, its attempts, and the changes to both that `save` will write."""

    tx: Tx
    row: TaskRow
    runs: list[StepRow]
    new: bool = False
    rings: list[Ring] = field(default_factory=list)
    _events: list[EventBody] = field(default_factory=list)
    _changed: set[str] = field(default_factory=set)
    _added: list[StepRow] = field(default_factory=list)
    _changed_runs: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    _refs: set[str] = field(default_factory=set)
    _deliver: bool = False

    @property
    def state(self) -> TaskState:
        return TaskState(self.row.state)

    def run(self, step: str, attempt: int) -> StepRow:
        """Return the attempt. Raises `NotFound`."""
        for run in self.runs:
            if run.step == step and run.attempt == attempt:
                return run
        raise NotFound(f"task {self.row.id} has no attempt {attempt} of step '{step}'")

    def thoughts(self) -> dict[str, JSON]:
        """Return the stored thoughts, reading them only when there are any."""
        if not self.row.thought_count:
            return {}
        found = self.tx.conn.execute(_THOUGHTS, {"task_id": self.row.id})
        return {name: loads(value) for name, value in found}

    def change(self, **values: object) -> None:
        """Change columns of the task."""
        for name, value in values.items():
            setattr(self.row, name, value)
        self._changed.update(values)

    def change_run(self, run: StepRow, **values: object) -> None:
        """Change columns of an attempt."""
        for name, value in values.items():
            setattr(run, name, value)
        self._changed_runs.setdefault((run.step, run.attempt), set()).update(values)

    def event(self, body: EventBody) -> None:
        """Append an event; it gets the next sequence number."""
        self._events.append(body)

    def refer(self, *digests: str) -> None:
        """Note that the task refers to these blobs."""
        self._refs.update(digests)

    def move(self, state: TaskState, message: str = "") -> None:
        """Take the task to another state; a state that the caller waits for queues a callback.

        Raises:
            IllegalTransition: the table of states has no such step.
        """
        check_task(self.state, state)
        if state.terminal:
            self.change(think=None, think_holder=None, think_until=None, think_fence=self.row.think_fence + 1)
            self.cancel_open(message)
        waits = state in {TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED}
        if waits:
            self.change(paused_at=self.tx.now)
        else:
            self._resume()
        self.change(state=state.value)
        self.event(StateEvent(state=state, message=message))
        self.tx.moves.append(TaskMove(state.value, max(0.0, self.tx.now - self.row.created_at)))
        self._deliver = self._deliver or ((waits or state.terminal) and self.row.callback_url is not None)

    def _resume(self) -> None:
        """Give back the time spent waiting for the caller: it does not count toward the deadline."""
        if self.row.paused_at is None:
            return
        waited = self.tx.now - self.row.paused_at
        self.change(paused_at=None, question=None, deadline_at=self.row.deadline_at + waited)
        for run in self.runs:
            if run.open:
                self.change_run(run, task_deadline_at=self.row.deadline_at)

    def move_run(self, run: StepRow, state: StepState, problem: Problem | None = None, **values: Any) -> None:
        """Take an attempt to another state and record it. Raises `IllegalTransition`."""
        check_step(StepState(run.state), state)
        if run.state == StepState.WORKING and state is not StepState.READY:
            # A lost run that is taken up again is told of as a whole by its next holder.
            self._charge(run_charge(self.tx, self.row, run, values.get("duration_s")), run)
        if problem is not None:
            values["problem"] = problem.model_dump_json()
        if state is StepState.READY:
            values["problem"] = None
        if state is not StepState.WORKING:
            values["lease_until"] = None
        before = run.state
        self.change_run(run, state=state.value, **values)
        self.event(step_event(run, problem))
        self.tx.moves.append(step_move(run, self.tx.now, before, values.get("duration_s")))

    def charge_engines(self, used: Iterable[EngineUse], run: StepRow | None = None) -> None:
        """Charge the task, and the attempt that asked, for what was asked of engines."""
        for use in used:
            self._charge(engine_charge(self.tx, self.row, use, run.agent if run is not None else ""), run)

    def _charge(self, charge: Charge, run: StepRow | None) -> None:
        row, currency = self.row, self.tx.rules.prices.currency
        if charge.priced and run is not None:
            self.change_run(run, cost=(run.cost or 0) + charge.spent.total)
        cost = (row.cost or 0) + charge.spent.total
        self.change(cost=cost, currency=currency, unpriced=row.unpriced + charge.unpriced)
        if not charge.free:
            self.tx.charges.append(charge)

    def cancel_open(self, reason: str = "") -> None:
        """Cancel every open attempt and raise its fence, so that no runner can commit to it any more."""
        problem = Problem(type="canceled", detail=reason or "the task is over")
        for run in self.runs:
            if run.open:
                self.move_run(run, StepState.CANCELED, problem, fence=run.fence + 1)

    def dispatch(self, order: Dispatch) -> None:
        """Insert a ready attempt; its fence goes on from the step's earlier attempts."""
        now = self.tx.now
        run = self._attempt(order, StepState.READY, dumps(order.input), order.deadline_s, order.effects)
        run.not_before = now + order.delay_s
        run.ring_at = run.not_before if order.delay_s else now + limits.RING_BASE_S
        if not order.delay_s:
            self.rings.append(ring_of(run))
        self.event(step_event(run, None))
        self.tx.moves.append(step_move(run, self.tx.now))

    def refuse(self, order: Refuse) -> None:
        """Record an attempt that failed without being dispatched."""
        run = self._attempt(order, StepState.FAILED, "{}", 0.0, Effects.NONE)
        run.problem = order.problem.model_dump_json()
        self.event(step_event(run, order.problem))
        self.tx.moves.append(step_move(run, self.tx.now))

    def _attempt(
        self, order: Dispatch | Refuse, state: StepState, data: str, deadline_s: float, effects: Effects
    ) -> StepRow:
        if any((run.step, run.attempt) == (order.step, order.attempt) for run in self.runs):
            raise ConciliumError(f"task {self.row.id}: attempt {order.attempt} of '{order.step}' exists already")
        now = self.tx.now
        era = self.row.think_fence // limits.FENCE_ERA * limits.FENCE_ERA
        fence = max(era, *(run.fence for run in self.runs if run.step == order.step), 0)
        run = StepRow(
            task_id=self.row.id, step=order.step, attempt=order.attempt, ordinal=len(self.runs) + 1,
            agent=order.agent, skill=order.skill, effects=effects.value, state=state.value,
            priority=self.row.priority, deadline_s=deadline_s, task_deadline_at=self.row.deadline_at,
            deadline_at=None, created_at=now, not_before=now, fence=fence, grants=0, runner=None, node=None,
            lease_until=None, ring_at=now, ring_delay_s=limits.RING_BASE_S, input=data, output=None,
            artifacts=None, problem=None, duration_s=None, granted_at=None, cost=None,
        )  # fmt: skip
        self.runs.append(run)
        self._added.append(run)
        return run

    def save(self) -> None:
        """Write everything: at most one statement per table and changed attempt."""
        conn, row, now = self.tx.conn, self.row, self.tx.now
        first = row.last_seq + 1
        self.change(last_seq=row.last_seq + len(self._events), updated_at=now)
        self._save_task()
        self._save_runs()
        if self._events:
            conn.execute(
                _ADD_EVENTS,
                [
                    {"task_id": row.id, "seq": first + index, "at": now, "body": body.model_dump_json()}
                    for index, body in enumerate(self._events)
                ],
            )
        if self._refs:
            refs = [{"sha256": digest, "task_id": row.id} for digest in sorted(self._refs)]
            conn.execute(_ADD_REFS[conn.dialect.name], refs)
        if self._deliver:
            self._queue_callback()
        self.tx.touched[row.id] = row.last_seq
        self._events, self._changed, self._added, self._changed_runs = [], set(), [], {}
        self._refs, self._deliver, self.new = set(), False, False

    def _save_task(self) -> None:
        if self.new:
            self.tx.conn.execute(_ADD_TASK, [_columns(self.row, _TASK_COLUMNS)])
            return
        update = update_of(schema.tasks, tuple(sorted(self._changed)))
        self.tx.conn.execute(update, _columns(self.row, self._changed) | {"pk_id": self.row.id})

    def _save_runs(self) -> None:
        added = {(run.step, run.attempt) for run in self._added}
        if self._added:
            self.tx.conn.execute(_ADD_STEPS, [_columns(run, _STEP_COLUMNS) for run in self._added])
        for key in sorted(self._changed_runs.keys() - added):
            self._save_run(self.run(*key), self._changed_runs[key])

    def _save_run(self, run: StepRow, changed: set[str]) -> None:
        update = update_of(schema.steps, tuple(sorted(changed)))
        key = {"pk_task_id": run.task_id, "pk_step": run.step, "pk_attempt": run.attempt}
        self.tx.conn.execute(update, _columns(run, changed) | key)

    def _queue_callback(self) -> None:
        values = {
            "id": new_id("msg"), "task_id": self.row.id, "seq": self.row.last_seq, "target": self.row.callback_url,
            "type": f"task.{self.row.state}", "payload": view_of(self.row, self.runs).model_dump_json(),
            "state": "queued", "attempts": 0, "due_at": self.tx.now, "created_at": self.tx.now,
            "delivered_at": None, "error": None,
        }  # fmt: skip
        self.tx.conn.execute(_ADD_OUTBOX, [values])


def load(tx: Tx, task_id: str, *, lock_steps: bool = False) -> Draft:
    """Read a task with its attempts, locked against other writers.

    ``lock_steps`` takes the open attempts first, as claims do, so that ending a task cannot deadlock with a claim.

    Raises:
        NotFound: there is no such task.
    """
    if tx.shared and lock_steps:
        tx.conn.execute(_LOCK_OPEN, {"task_id": task_id}).all()
    row = load_task(tx, task_id)
    runs = [step_row(found) for found in tx.conn.execute(_TASK_STEPS, {"task_id": task_id})]
    return Draft(tx, row, runs)


def load_task(tx: Tx, task_id: str) -> TaskRow:
    """Read and lock a task's row alone. Raises `NotFound`."""
    found = tx.conn.execute(tx.locked(_TASK), {"task_id": task_id}).first()
    if found is None:
        raise NotFound(f"no task '{task_id}'")
    return task_row(found)


def _columns(row: TaskRow | StepRow, names: Iterable[str]) -> dict[str, object]:
    return {name: getattr(row, name) for name in names}
