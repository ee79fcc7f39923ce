"""A turn as a fold: what the ledger knows of a task, and what the brain decides from it.

``advance: Callable[[Turn], Advance]`` is pure. The ledger calls it inside the transaction that changed the turn and
applies the decision in the same transaction, so nothing ever awaits a child.
"""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field

from concilium.contracts.base import JSON, Model
from concilium.contracts.parts import Artifact
from concilium.contracts.plan import Plan
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Answer, DataClass, Priority, Problem, Request, StageEvent


class StepRun(Model):
    """One attempt of one step, as stored."""

    step: str
    attempt: int
    agent: str
    skill: str
    state: StepState
    node: str | None = None
    input: dict[str, JSON] = Field(default_factory=dict)
    output: JSON = None
    artifacts: tuple[Artifact, ...] = ()
    problem: Problem | None = None
    duration_s: float | None = None
    cost: Decimal | None = None
    """In the currency of the task's cost; None while it has not run, and when its node has no price."""


class Turn(Model):
    """Everything the brain may look at to decide what comes next."""

    task_id: str
    request: Request
    priority: Priority
    data_class: DataClass = DataClass.INTERNAL
    state: TaskState
    now: datetime
    """The ledger's clock."""
    deadline_at: datetime
    plan: Plan | None = None
    planner: Literal["skill-router", "language", "none"] = "none"
    notes: tuple[str, ...] = ()
    runs: tuple[StepRun, ...] = ()
    """Every attempt of every step, in the order they were made."""
    thoughts: dict[str, JSON] = Field(default_factory=dict)
    """Stored engine results by what they decide: ``plan``, ``reformulate:<step>``; reused on replay."""


class Dispatch(Model):
    """A step's attempt that became ready, its references resolved and its input validated."""

    step: str
    attempt: int
    agent: str
    skill: str
    input: dict[str, JSON]
    delay_s: float = Field(default=0.0, ge=0)
    deadline_s: float
    """Seconds one attempt may take; also cut to the task's own deadline by the ledger."""
    effects: Effects = Effects.NONE
    """The skill's declared effects: an ``external`` attempt whose lease is lost is not repeated."""


class Refuse(Model):
    """A step whose attempt fails without being dispatched, e.g. its resolved input does not fit the schema."""

    step: str
    attempt: int
    agent: str
    skill: str
    problem: Problem


class Finish(Model):
    """The turn is over."""

    state: Literal["completed", "failed", "rejected"]
    answer: Answer | None = None
    problem: Problem | None = None


class Advance(Model):
    """The brain's decision. Empty means: wait for what is running."""

    plan: Plan | None = None
    """Set when this decision adopts a plan."""
    planner: Literal["skill-router", "language", "none"] | None = None
    notes: tuple[str, ...] = ()
    stages: tuple[StageEvent, ...] = ()
    """Events of the stages that ran (route, plan, answer), stored before their effects."""
    dispatch: tuple[Dispatch, ...] = ()
    refuse: tuple[Refuse, ...] = ()
    """Recorded as failed attempts; the ledger then calls advance again."""
    think: str | None = None
    """A thought the engine has to provide: ``plan`` or ``reformulate:<step>``; taken under a lease."""
    ask: str | None = None
    """A question for the caller; the task becomes input-required."""
    finish: Finish | None = None
