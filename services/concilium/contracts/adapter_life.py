"""The life of adapters: what the registry knows of each version, who changed what and why, where it serves."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from concilium.contracts.adapters import (
    AdapterId,
    AdapterState,
    Alias,
    Digest,
    Reference,
    Verdict,
    Version,
    served_name,
)
from concilium.contracts.base import JSON, Model

LEGAL: Final[dict[AdapterState, frozenset[AdapterState]]] = {
    AdapterState.CANDIDATE: frozenset({AdapterState.VERIFIED, AdapterState.RETIRED}),
    AdapterState.VERIFIED: frozenset({AdapterState.CANARY, AdapterState.LIVE, AdapterState.RETIRED}),
    AdapterState.CANARY: frozenset({AdapterState.VERIFIED, AdapterState.LIVE, AdapterState.RETIRED}),
    AdapterState.LIVE: frozenset({AdapterState.VERIFIED, AdapterState.RETIRED}),
    AdapterState.RETIRED: frozenset(),
}
"""What may follow what. Whoever stops serving, superseded or rolled back, is again one that may be promoted."""
LOADABLE: Final = frozenset({AdapterState.VERIFIED, AdapterState.CANARY, AdapterState.LIVE})
"""Only these may an engine see."""

Who = Annotated[str, Field(min_length=1, max_length=200)]
"""A person, a key's name, or the part of the mesh that decided."""
Why = Annotated[str, Field(min_length=1, max_length=2000)]
ReplicaName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class Proof(Model):
    """That the bytes of a bundle are those that somebody trusted vouches for."""

    digest: Digest
    by: str = Field(min_length=1, max_length=200)
    """What vouches for them, such as the version of the signed index."""


class AdapterRecord(Model):
    """One version of an adapter, as the registry knows it."""

    digest: Digest
    id: AdapterId
    version: Version
    state: AdapterState
    verdict: Verdict
    bytes: int
    """Of all its files."""
    rank: int
    parents: tuple[Digest, ...]
    probed: bool
    """Whether its report has a probe."""
    pinned: bool
    created_at: datetime
    changed_at: datetime
    removed_at: datetime | None = None
    """When its files were removed; its version is not used again."""

    @property
    def served_name(self) -> str:
        """What engines call it."""
        return served_name(self.id, self.version, self.digest)

    @property
    def reference(self) -> Reference:
        """Its id and version."""
        return Reference(id=self.id, at=self.version)


class CanaryTerms(Model):
    """How a canary is compared with what is live."""

    share: float = Field(gt=0, le=0.5)
    """Of the contexts that get the canary."""
    alpha: float = Field(default=0.01, gt=0, lt=1)
    """The chance of ever rolling back a canary that is no worse, over all measures together."""
    tolerance: float = Field(default=1.25, ge=1)
    """How many times as often as under the live version something bad may happen before it counts as a regression."""
    slow_s: float = Field(gt=0)
    """An answer that takes longer is slow."""
    poor_below: float = Field(default=0.5, ge=0, le=1)
    """A score below this is poor."""
    enough: int = Field(default=300, ge=1)
    """Contexts of the canary that must have been seen before it can pass."""


class Tally(Model):
    """How many contexts of one arm were seen, and how many of them had something bad."""

    seen: int = Field(default=0, ge=0)
    errors: int = Field(default=0, ge=0)
    slow: int = Field(default=0, ge=0)
    poor: int = Field(default=0, ge=0)

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum."""
        return Tally(
            seen=self.seen + other.seen,
            errors=self.errors + other.errors,
            slow=self.slow + other.slow,
            poor=self.poor + other.poor,
        )


Measure = Literal["errors", "slow", "poor"]


class Counts(Model):
    """What was seen under both arms."""

    canary: Tally = Tally()
    live: Tally = Tally()


class Judgement(Model):
    """What a canary's counts say."""

    verdict: Verdict
    reason: str
    evidence: dict[Measure, float]
    """For each measure how many times likelier the counts are under a regression than without one."""


class Canary(Model):
    """A canary under way."""

    digest: Digest
    terms: CanaryTerms
    counts: Counts
    began_at: datetime


class Line(Model):
    """All versions of one adapter together: which serves, which tries to."""

    id: AdapterId
    generation: int
    """Rises whenever an alias moves; whoever moves one names the generation that he saw."""
    live: Digest | None = None
    live_version: Version | None = None
    previous: Digest | None = None
    """What was live before; a rollback returns to it."""
    canary: Canary | None = None
    canary_version: Version | None = None

    def alias(self, alias: Alias) -> Digest | None:
        """Return where an alias leads now."""
        if alias is Alias.LIVE:
            return self.live
        return self.canary.digest if self.canary else None

    def served(self, alias: Alias) -> str | None:
        """Return what engines call the version that an alias leads to."""
        version = self.live_version if alias is Alias.LIVE else self.canary_version
        digest = self.alias(alias)
        return None if digest is None or version is None else served_name(self.id, version, digest)


Happening = Literal[
    "imported", "verified", "canary", "live", "superseded", "canary-ended", "rolled-back", "retired", "pinned",
    "unpinned", "removed",
]  # fmt: skip


class AdapterEvent(Model):
    """Something that happened to an adapter."""

    id: AdapterId
    seq: int
    """Rises by one for each event of this adapter."""
    at: datetime
    digest: Digest
    what: Happening
    who: str
    why: str
    data: dict[str, JSON] = Field(default_factory=dict)


class ReplicaState(StrEnum):
    """How far an adapter is on one replica."""

    LOADING = "loading"
    """The engine was, or is being, told to load it."""
    LIVE = "live"
    """A probe proved that the engine serves it."""
    DRAINING = "draining"
    """Requests that began with it end; nothing new is sent."""
    FAILED = "failed"
    """The engine refused it, or the probe did."""


class OnReplica(Model):
    """An adapter on a replica."""

    replica: ReplicaName
    digest: Digest
    state: ReplicaState
    detail: str = Field(default="", max_length=500)
    """What the probe measured, or what went wrong."""
    at: datetime | None = None
    """Since when; None: not stored yet."""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.state is ReplicaState.FAILED and not self.detail:
            raise ValueError("detail: say what failed")
        return self
