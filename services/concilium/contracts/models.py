"""Base models and launch profiles: the sections ``models`` and ``profiles`` of ``configs/models.yaml``."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from concilium.contracts.base import JSON, Model

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
Precision = Literal["bf16", "fp8", "int4"]
Rank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]
"""The ranks that vLLM has kernels for; an adapter of a lower rank is served by the next of them."""
Module = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "experts"]
Room = Literal["brain", "vision", "speech", "training"]
Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=160)]


class Checkpoint(Model):
    """One form of a model's weights."""

    repository: Repository
    """Owner and name in a hub."""
    quantization: str = ""
    """vLLM's name of how they are stored; empty for 16 bits."""


class Yarn(Model):
    """How far positions may be stretched beyond those the model was trained on (YaRN, arXiv:2309.00071)."""

    from_tokens: int = Field(gt=0)
    to_tokens: int = Field(gt=0)
    rope_theta: int = Field(gt=0)


class ModelSpec(Model):
    """A base model."""

    context_tokens: int = Field(gt=0)
    """The longest context without YaRN."""
    yarn: Yarn | None = None
    weights: Mapping[Precision, Checkpoint]
    shape: Mapping[str, int | bool]
    """The members of its ``config.json`` that decide how large it is."""
    reasoning_parser: str = ""
    tool_parser: str = ""

    @property
    def longest(self) -> int:
        """Tokens of the longest context, with YaRN where the model knows it."""
        return self.yarn.to_tokens if self.yarn else self.context_tokens


class Loras(Model):
    """Room for adapters."""

    slots: int = Field(ge=1)
    """On the card: as many can answer in one batch."""
    in_memory: int = Field(ge=1)
    """In main memory, those on the card among them."""
    rank: Rank
    modules: tuple[Module, ...] = Field(min_length=1)
    """What adapters may change; each module takes room in every slot, whether an adapter changes it or not."""

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.in_memory < self.slots:
            raise ValueError("in_memory counts those in slots too and cannot be less")
        return self


class Profile(Model):
    """How vLLM is started for one kind of card."""

    model: ModelName
    precision: Precision
    card_gb: float = Field(gt=0, le=10_000)
    """Memory of one card, in 10^9 bytes."""
    cards: int = Field(default=1, ge=1, le=64)
    """Cards that hold the model together (tensor parallel)."""
    split: Mapping[Room, Annotated[float, Field(gt=0, lt=1)]]
    """Who may use which part of each card; this engine is the brain."""
    context_tokens: int = Field(gt=0)
    kv_cache: Literal["auto", "fp8"] = "auto"
    streams: int = Field(ge=1, le=4096)
    """Answers at once; more wait."""
    loras: Loras | None = None
    flags: Mapping[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], JSON] = Field(default_factory=dict)
    """Further flags of vLLM without their dashes: a value, a list, an object (JSON), or true for a flag alone."""
    instead: tuple[str, ...] = ()
    """Profiles to offer where this one does not fit."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if "brain" not in self.split:
            raise ValueError("split names no part for the brain")
        if (total := sum(self.split.values())) > 1 + 1e-9:
            raise ValueError(f"the parts in split are {total:g} of the card together")
        return self


def profile_problems(models: Mapping[str, ModelSpec], profiles: Mapping[str, Profile]) -> list[str]:
    """Return what profiles ask of models that these do not have."""
    found: list[str] = []
    for name, profile in profiles.items():
        model = models.get(profile.model)
        if model is None:
            found.append(f"profiles.{name}.model: there is no model {profile.model}")
            continue
        if profile.precision not in model.weights:
            have = ", ".join(model.weights)
            found.append(
                f"profiles.{name}.precision: {profile.model} has no weights in {profile.precision}, but {have}"
            )
        if profile.context_tokens > model.longest:
            found.append(
                f"profiles.{name}.context_tokens: {profile.model} reads at most {model.longest} tokens, "
                f"not {profile.context_tokens}"
            )
        found += [f"profiles.{name}.instead: there is no profile {it}" for it in profile.instead if it not in profiles]
    return found
