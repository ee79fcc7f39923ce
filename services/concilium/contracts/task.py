"""A task as callers see it: the request, the events, the answer."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from concilium.contracts import limits
from concilium.contracts.base import JSON, Model
from concilium.contracts.costs import Cost
from concilium.contracts.parts import Artifact, FileRef
from concilium.contracts.states import StepState, TaskState


class Priority(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the highest; what claims are ordered by."""
        return list(Priority).index(self)


class DataClass(StrEnum):
    """Who may see a step's input. ``private`` never leaves home."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PRIVATE = "private"


class Request(Model):
    """What a caller wants: text and files."""

    text: str = Field(default="", max_length=limits.TEXT_CHARS)
    files: tuple[FileRef, ...] = Field(default=(), max_length=limits.MESSAGE_PARTS)
    replies: tuple[str, ...] = ()
    """What the caller answered when asked (``input-required``), oldest first."""


class Submission(Model):
    """A request with the terms it is accepted under."""

    request: Request
    key_id: str
    """The API key that asks; only it and admins see the task."""
    operation: str = "ask"
    idempotency_key: str | None = Field(default=None, max_length=255)
    deadline_s: float = Field(default=limits.DEADLINE_S, gt=0, le=limits.DEADLINE_MAX_S)
    priority: Priority = Priority.NORMAL
    data_class: DataClass = DataClass.INTERNAL
    hops: int = Field(default=limits.HOPS, ge=0, le=limits.HOPS)
    callback_url: str | None = Field(default=None, max_length=4096)
    context_id: str | None = Field(default=None, max_length=128)
    traceparent: str | None = Field(default=None, max_length=55)
    """W3C Trace Context: the span that the task belongs to."""
    execution_id: str | None = Field(default=None, max_length=64)
    """n8n's id of the execution that asks."""
    replay_of: str | None = None


class Problem(Model):
    """Why something failed: a stable type and a sentence."""

    type: str
    detail: str
    retryable: bool = False


class Provenance(Model):
    """Who did one step of an answer."""

    step: str
    agent: str
    skill: str
    node: str | None = None
    attempt: int
    state: StepState
    duration_s: float | None = None
    artifacts: tuple[str, ...] = ()
    problem: Problem | None = None


class Answer(Model):
    """What the caller gets back."""

    text: str
    planner: Literal["skill-router", "language", "none"]
    notes: tuple[str, ...] = ()
    """Things the caller should know, e.g. that no language model is configured or the engine was down."""
    outputs: dict[str, JSON] = Field(default_factory=dict)
    """Step name to that step's output."""
    provenance: tuple[Provenance, ...] = ()


class StateEvent(Model):
    kind: Literal["state"] = "state"
    state: TaskState
    message: str = ""


class StageEvent(Model):
    """The output of one stage of the turn (route, plan, reformulate, answer)."""

    kind: Literal["stage"] = "stage"
    stage: str
    output: JSON


class StepEvent(Model):
    """A step's attempt changed state."""

    kind: Literal["step"] = "step"
    step: str
    attempt: int
    state: StepState
    agent: str
    skill: str
    node: str | None = None
    fence: int = 0
    duration_s: float | None = None
    problem: Problem | None = None


class ProgressEvent(Model):
    kind: Literal["progress"] = "progress"
    step: str
    attempt: int
    fraction: float | None = Field(default=None, ge=0, le=1)
    message: str = Field(default="", max_length=500)


class ArtifactEvent(Model):
    kind: Literal["artifact"] = "artifact"
    step: str
    artifact: Artifact


EventBody = Annotated[StateEvent | StageEvent | StepEvent | ProgressEvent | ArtifactEvent, Field(discriminator="kind")]


class Event(Model):
    """One durable event; ``seq`` counts from 1 without gaps within its task."""

    task_id: str
    seq: int
    at: datetime
    body: EventBody


class TaskView(Model):
    """A task as its owner sees it."""

    id: str
    context_id: str
    state: TaskState
    request: Request
    priority: Priority
    data_class: DataClass
    created_at: datetime
    updated_at: datetime
    deadline_at: datetime
    trace_id: str
    """32 hex digits, the same from the caller to every step (W3C Trace Context)."""
    execution_id: str | None = None
    """n8n's id of the execution that asked, as it said in ``X-N8N-Execution-Id``."""
    key_id: str
    callback_url: str | None = None
    replay_of: str | None = None
    question: str | None = None
    """What is asked of the caller while ``input-required``."""
    answer: Answer | None = None
    problem: Problem | None = None
    artifacts: tuple[Artifact, ...] = ()
    cost: Cost | None = None
    """None until something of it has run."""
    last_seq: int = 0
