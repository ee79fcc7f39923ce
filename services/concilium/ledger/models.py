"""What the ledger's operations return."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from concilium.contracts.base import Model
from concilium.contracts.money import Money
from concilium.contracts.nodes import Node
from concilium.contracts.runner import Lease
from concilium.contracts.skill import Effects
from concilium.contracts.task import Event, TaskView
from concilium.contracts.turn import StepRun, Turn


class Ring(Model):
    """A doorbell to ring after the commit."""

    agent: str
    step_id: str
    """``<task>.<step>.<attempt>``."""


class Submitted(Model):
    """A task was accepted, or was accepted before under the same idempotency key (``replayed``)."""

    task: TaskView
    replayed: bool = False
    rings: tuple[Ring, ...] = ()
    warning: str = ""
    """Which budget is nearly used up; empty: none."""


class Completed(Model):
    """An outcome was committed; ``leases`` are those of the claim that rode in the same transaction."""

    task_id: str
    finished: bool
    rings: tuple[Ring, ...] = ()
    leases: tuple[Lease, ...] = ()


class Refused(Model):
    """A node's token or key was turned away."""

    reason: str


class Revoked(Model):
    """A node has no rights any more; its steps wait for others."""

    node: Node
    rings: tuple[Ring, ...] = ()


class Thought(Model):
    """A turn's lease for one engine call: what to decide and what is known."""

    task_id: str
    name: str
    """``plan`` or ``reformulate:<step>``."""
    fence: int
    ttl_s: float
    traceparent: str
    """The span of the task's request."""
    turn: Turn


class Advanced(Model):
    """A turn moved on."""

    task: TaskView
    rings: tuple[Ring, ...] = ()


class ApiKey(Model):
    """An API key without its secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    rate_per_minute: int | None = None
    budget: Money | None = None
    """What its tasks may cost a month, in the currency of the prices; None: no limit of its own."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def active(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class DeliveryState(StrEnum):
    QUEUED = "queued"
    DELIVERED = "delivered"
    DEAD = "dead"


class Delivery(Model):
    """One callback: the body to post and where."""

    id: str
    """Stable over attempts: the ``webhook-id`` of Standard Webhooks."""
    task_id: str
    key_id: str
    """The API key whose task it is."""
    traceparent: str
    """The span of the task's request."""
    url: str
    type: str
    """``task.completed``, ``task.failed``, ``task.input-required``, …"""
    payload: str
    """The `TaskView` at that moment, as JSON text."""
    state: DeliveryState
    attempts: int
    """Failed attempts so far."""
    created_at: datetime
    due_at: datetime
    error: str | None = None


class Swept(Model):
    """What one sweep did."""

    rings: tuple[Ring, ...] = ()
    expired: int = 0
    """Leases taken back."""
    timed_out: int = 0
    """Tasks and steps ended by their deadline."""


class GcReport(Model):
    """What `gc` removed."""

    tasks: int = 0
    events: int = 0
    idempotency_keys: int = 0
    blobs: int = 0
    blob_bytes: int = 0


class StepRecord(StepRun):
    """An attempt with what the ledger alone knows of it."""

    fence: int
    grants: int
    effects: Effects
    runner: str | None = None


class History(Model):
    """Everything the ledger holds of a task."""

    task: TaskView
    events: tuple[Event, ...]
    steps: tuple[StepRecord, ...]
    deliveries: tuple[Delivery, ...]


class Stats(Model):
    """Counts of the ledger at one moment."""

    tasks: dict[str, int] = Field(default_factory=dict)
    """State to number of tasks."""
    ready: dict[str, int] = Field(default_factory=dict)
    """Agent to number of steps that may be claimed."""
    oldest_s: dict[str, float] = Field(default_factory=dict)
    """Agent to the seconds that the oldest of these waits; those of low priority are meant to wait."""
    leases: int = 0
    thinking: int = 0
    """Turns that wait for an engine."""
    outbox: dict[str, int] = Field(default_factory=dict)
    """Delivery state to number of callbacks."""
    commits: int = 0
    """Write transactions committed by this process since it opened the ledger."""
    statements: int = 0
    """Statements of those transactions."""
    operations: int = 0
    """Operations that those transactions carried."""
