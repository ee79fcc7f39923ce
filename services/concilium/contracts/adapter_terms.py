"""Where adapters are kept and how canaries are judged: ``configs/adapters.yaml`` as a model."""

from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from concilium.contracts.adapter_life import CanaryTerms, ReplicaName
from concilium.contracts.adapters import AdapterId
from concilium.contracts.base import JSON, Model
from concilium.contracts.errors import Invalid

Tier = Literal["gpu", "ram", "disk"]
Url = Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]


class Keep(Model):
    """Where one adapter is kept."""

    tier: Tier = "disk"
    """How far it may sink while nobody uses it: ``gpu``: stays loaded; ``ram``: its files stay in memory; ``disk``."""
    pin: bool = False
    """Never evicted from its tier for another's sake."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Of two that could go, the lower goes."""


class ReplicaTerms(Model):
    """One engine."""

    url: Url
    """Its root, without ``/v1``."""
    secret_file: str = ""
    """The file with the bearer secret of its admin surface; empty: none, for an engine on loopback."""
    store: str
    """The path at which that engine sees the adapter store."""
    model: str
    """The name of the base model there."""
    slots: int = Field(default=8, ge=1, le=1024)
    """Adapters that are loaded at once."""
    gpu_bytes: int = Field(default=4 << 30, gt=0)
    """Bytes of loaded adapters, at most."""
    ram_bytes: int = Field(default=16 << 30, ge=0)
    """Bytes of adapters whose files are kept in memory, at most."""


class AdapterTerms(Model):
    """The whole file."""

    adapters: dict[AdapterId, Keep] = Field(default_factory=dict)
    replicas: dict[ReplicaName, ReplicaTerms] = Field(default_factory=dict)
    canary: CanaryTerms = CanaryTerms(share=0.1, slow_s=30)
    drain_s: float = Field(default=120, ge=0)
    """How long an unload waits for requests under way."""
    keep_days: float = Field(default=30, ge=0)
    """How long files of candidates and of retired versions are kept."""

    def keep(self, adapter: str) -> Keep:
        """Return where an adapter is kept; one that is not named sinks to the disk."""
        return self.adapters.get(adapter, Keep())


def parse_adapter_terms(text: str, name: str = "adapters.yaml") -> AdapterTerms:
    """Return the terms of a YAML text.

    Raises:
        Invalid: the YAML is broken, or a member is unknown or out of bounds; all are named.
    """
    try:
        data: JSON = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Invalid(f"{name} is not YAML: {error}") from error
    try:
        return AdapterTerms.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()]
        raise Invalid(f"{name}: " + "; ".join(lines)) from error
