"""Rows of tasks and steps as typed records, and what contracts models they become."""

from dataclasses import dataclass
from typing import Literal, cast

from pydantic import TypeAdapter
from sqlalchemy import Row, select

from concilium.contracts.costs import Cost
from concilium.contracts.money import from_micros
from concilium.contracts.parts import Artifact
from concilium.contracts.plan import Plan
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Answer, DataClass, Event, EventBody, Priority, Problem, Request, TaskView
from concilium.contracts.turn import StepRun, Turn
from concilium.ledger import schema
from concilium.ledger.codec import at, loads
from concilium.ledger.models import StepRecord

PRIORITIES = tuple(Priority)
ARTIFACTS: TypeAdapter[tuple[Artifact, ...]] = TypeAdapter(tuple[Artifact, ...])
BODY: TypeAdapter[EventBody] = TypeAdapter(EventBody)
Planner = Literal["skill-router", "language", "none"]


@dataclass(slots=True)
class TaskRow:
    """A row of `schema.tasks`, in the order of its columns."""

    id: str
    key_id: str
    operation: str
    context_id: str
    state: str
    request: str
    priority: int
    data_class: str
    hops: int
    deadline_s: float
    created_at: float
    updated_at: float
    deadline_at: float
    paused_at: float | None
    trace_id: str
    callback_url: str | None
    replay_of: str | None
    question: str | None
    answer: str | None
    problem: str | None
    plan: str | None
    planner: str
    notes: str
    last_seq: int
    think: str | None
    think_fence: int
    think_holder: str | None
    think_until: float | None
    thought_count: int
    cost: int | None
    currency: str | None
    unpriced: int
    traceparent: str
    execution_id: str | None


@dataclass(slots=True)
class StepRow:
    """A row of `schema.steps`, in the order of its columns."""

    task_id: str
    step: str
    attempt: int
    ordinal: int
    agent: str
    skill: str
    effects: str
    state: str
    priority: int
    deadline_s: float
    task_deadline_at: float
    deadline_at: float | None
    created_at: float
    not_before: float
    fence: int
    grants: int
    runner: str | None
    node: str | None
    lease_until: float | None
    ring_at: float
    ring_delay_s: float
    input: str
    output: str | None
    artifacts: str | None
    problem: str | None
    duration_s: float | None
    granted_at: float | None
    cost: int | None

    @property
    def open(self) -> bool:
        """Whether the attempt may still change."""
        return not StepState(self.state).terminal


TASKS = select(*schema.tasks.c)
STEPS = select(*schema.steps.c)


def task_row(row: Row[*tuple[object, ...]]) -> TaskRow:
    """Return a row of `TASKS` as a record."""
    return TaskRow(*cast("tuple[object, ...]", tuple(row)))  # type: ignore[arg-type]  # columns are in field order


def step_row(row: Row[*tuple[object, ...]]) -> StepRow:
    """Return a row of `STEPS` as a record."""
    return StepRow(*cast("tuple[object, ...]", tuple(row)))  # type: ignore[arg-type]  # columns are in field order


def run_of(row: StepRow) -> StepRun:
    """Return an attempt as the brain and callers see it."""
    return StepRun(
        step=row.step,
        attempt=row.attempt,
        agent=row.agent,
        skill=row.skill,
        state=StepState(row.state),
        node=row.node,
        input=loads(row.input),
        output=loads(row.output) if row.output is not None else None,
        artifacts=artifacts_of(row),
        problem=Problem.model_validate_json(row.problem) if row.problem else None,
        duration_s=row.duration_s,
        cost=None if row.cost is None else from_micros(row.cost),
    )


def record_of(row: StepRow) -> StepRecord:
    """Return an attempt with its fence and grants."""
    run = run_of(row)
    return StepRecord(
        **{name: getattr(run, name) for name in StepRun.model_fields},
        fence=row.fence,
        grants=row.grants,
        effects=Effects(row.effects),
        runner=row.runner,
    )


def artifacts_of(row: StepRow) -> tuple[Artifact, ...]:
    """Return the artifacts an attempt committed."""
    return ARTIFACTS.validate_json(row.artifacts) if row.artifacts else ()


def view_of(row: TaskRow, runs: list[StepRow]) -> TaskView:
    """Return a task as its owner sees it; its artifacts are those of its completed steps."""
    done = [run for run in runs if run.state == StepState.COMPLETED]
    return TaskView(
        id=row.id,
        context_id=row.context_id,
        state=TaskState(row.state),
        request=Request.model_validate_json(row.request),
        priority=PRIORITIES[row.priority],
        data_class=DataClass(row.data_class),
        created_at=at(row.created_at),
        updated_at=at(row.updated_at),
        deadline_at=at(row.deadline_at),
        trace_id=row.trace_id,
        execution_id=row.execution_id,
        key_id=row.key_id,
        callback_url=row.callback_url,
        replay_of=row.replay_of,
        question=loads(row.question) if row.question else None,
        answer=Answer.model_validate_json(row.answer) if row.answer else None,
        problem=Problem.model_validate_json(row.problem) if row.problem else None,
        artifacts=tuple(artifact for run in done for artifact in artifacts_of(run)),
        cost=cost_of(row),
        last_seq=row.last_seq,
    )


def cost_of(row: TaskRow) -> Cost | None:
    """Return what a task has cost; None before anything of it ran."""
    if row.cost is None or row.currency is None:
        return None
    return Cost(amount=from_micros(row.cost), currency=row.currency, unpriced=row.unpriced)


def turn_of(row: TaskRow, runs: list[StepRow], thoughts: dict[str, object], now: float) -> Turn:
    """Return a turn as the brain sees it."""
    return Turn(
        task_id=row.id,
        request=Request.model_validate_json(row.request),
        priority=PRIORITIES[row.priority],
        state=TaskState(row.state),
        now=at(now),
        deadline_at=at(row.deadline_at),
        plan=Plan.model_validate_json(row.plan) if row.plan else None,
        planner=cast("Planner", row.planner),
        notes=tuple(loads(row.notes)),
        runs=tuple(run_of(run) for run in runs),
        thoughts=thoughts,
    )


def event_of(task_id: str, seq: int, seconds: float, body: str) -> Event:
    """Return a stored event."""
    return Event(task_id=task_id, seq=seq, at=at(seconds), body=BODY.validate_json(body))
