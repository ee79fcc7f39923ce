"""The runner API: claim, renew, progress, complete. Durations only on the wire; the ledger's clock alone decides."""

from typing import Literal

from pydantic import Field

from concilium.contracts import limits
from concilium.contracts.base import JSON, Model
from concilium.contracts.parts import Artifact, FileRef, Sha256
from concilium.contracts.prices import EngineUse
from concilium.contracts.skill import AgentName, Effects
from concilium.contracts.task import DataClass, Priority, Problem


class ClaimRequest(Model):
    """Ask for the best ready steps of one agent."""

    agent: AgentName
    node: str = Field(min_length=1, max_length=64)
    runner: str = Field(min_length=1, max_length=64)
    """Identifies the runner process."""
    count: int = Field(default=1, ge=1, le=64)


class Lease(Model):
    """The right to work on one attempt of one step for ``ttl_s`` seconds."""

    task_id: str
    step: str
    attempt: int
    fence: int
    """Rises by one at each grant of this step, whatever the attempt."""
    ttl_s: float = limits.LEASE_TTL_S
    deadline_s: float
    """Seconds left for this attempt."""
    agent: str
    skill: str
    effects: Effects
    input: dict[str, JSON]
    files: tuple[FileRef, ...] = ()
    """Every file the input mentions; bytes from ``GET /runner/v1/blobs/{sha256}``."""
    inline: dict[Sha256, bytes] = Field(default_factory=dict)
    """Bytes of files up to 256 KiB, base64 on the wire."""
    context_id: str
    hops: int
    priority: Priority
    data_class: DataClass
    traceparent: str
    """The span of the task's request (W3C Trace Context)."""
    grants: int = 1
    """How often this attempt has been granted; above 1 an older run may still exist at the agent."""
    waited_s: float = Field(default=0.0, ge=0)
    """Seconds from when the attempt could be claimed to this grant."""
    replies: tuple[str, ...] = ()
    """What the caller answered when asked, oldest first."""
    alone: bool = True
    """No other node serves the agent, so every hint of its work comes to this one."""

    @property
    def run_id(self) -> str:
        """The id under which the agent knows this attempt."""
        return f"{self.task_id}.{self.step}.{self.attempt}"


class ClaimReply(Model):
    leases: tuple[Lease, ...] = ()


class Held(Model):
    """A lease as its holder names it."""

    task_id: str
    step: str
    attempt: int
    fence: int


class RenewRequest(Model):
    runner: str
    leases: tuple[Held, ...] = Field(max_length=1024)


class RenewReply(Model):
    lost: tuple[Held, ...] = ()
    """Canceled, taken back or granted to another: stop working on them."""


class ProgressNote(Model):
    held: Held
    fraction: float | None = Field(default=None, ge=0, le=1)
    message: str = Field(default="", max_length=500)


class ProgressRequest(Model):
    notes: tuple[ProgressNote, ...] = Field(max_length=256)


class Completion(Model):
    """The outcome of one attempt, committed only under the current fence."""

    held: Held
    runner: str
    node: str
    state: Literal["completed", "failed", "input-required"]
    output: JSON = None
    artifacts: tuple[Artifact, ...] = ()
    inline: dict[Sha256, bytes] = Field(default_factory=dict)
    """Bytes of artifacts' files up to 256 KiB each; larger ones were PUT to ``/runner/v1/blobs/{sha256}`` before."""
    problem: Problem | None = None
    question: str | None = None
    duration_s: float = Field(ge=0)
    used: tuple[EngineUse, ...] = Field(default=(), max_length=8)
    """What the run asked of engines."""
    claim: ClaimRequest | None = None
    """Claim the next step in the same request."""


class CompletionReply(Model):
    leases: tuple[Lease, ...] = ()
