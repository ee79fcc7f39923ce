"""How a model is asked: ``configs/models.yaml`` as a model.

A mode is a named way to answer; a request names one, or its purpose does.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from concilium.contracts.base import JSON, Model
from concilium.contracts.errors import Invalid
from concilium.contracts.models import ModelName, ModelSpec, Profile, profile_problems

ModeName = Literal["code", "think", "dialogue", "fast", "deep"]
Purpose = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)?$", max_length=64)]
"""What a request is for: ``brain.plan``, ``brain.reformulate``, or the name of a skill."""


class Mode(Model):
    """One way to answer. What is None is left to the engine."""

    purposes: tuple[Purpose, ...] = ()
    """Requests for these take this mode unless they name another."""
    context_tokens: int = Field(gt=0)
    """Prompt, thoughts and answer together; a prompt that leaves no room for the rest is refused."""
    max_tokens: int = Field(gt=0)
    """Of the answer, its thoughts not counted."""
    timeout_s: float | None = Field(default=None, gt=0)
    """For one request; None: the engine's own."""
    temperature: float = Field(ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    thinking: bool
    thinking_budget: int = Field(default=0, ge=0)
    """Tokens of its thoughts; what is thought until then is kept and the answer asked for."""
    experts_per_token: int | None = Field(default=None, ge=1)
    """For engines that take it with a request (``num_experts_per_tok``)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.thinking != (self.thinking_budget > 0):
            raise ValueError("a mode that thinks has a thinking_budget, and no other has")
        if self.max_tokens + self.thinking_budget >= self.context_tokens:
            raise ValueError("max_tokens and thinking_budget leave no room for a prompt in context_tokens")
        return self


class ModelsConfig(Model):
    """The whole file."""

    modes: Mapping[ModeName, Mode]
    models: Mapping[ModelName, ModelSpec] = Field(default_factory=dict)
    profiles: Mapping[ModelName, Profile] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = {"code", "think", "dialogue", "fast", "deep"} - set(self.modes)
        if missing:
            raise ValueError(f"modes: {', '.join(sorted(missing))} is missing")
        purposes = [purpose for mode in self.modes.values() for purpose in mode.purposes]
        twice = sorted({purpose for purpose in purposes if purposes.count(purpose) > 1})
        if twice:
            raise ValueError(f"modes: {', '.join(twice)} is a purpose of more than one mode")
        if problems := profile_problems(self.models, self.profiles):
            raise ValueError("; ".join(problems))
        return self

    def choose(self, asked: ModeName | None, purpose: str) -> ModeName:
        """Return the mode of a request: the one it names, else its purpose's, else ``dialogue``."""
        if asked is not None:
            return asked
        return next((name for name, mode in self.modes.items() if purpose in mode.purposes), "dialogue")


def parse_models(text: str, name: str = "models.yaml") -> ModelsConfig:
    """Return what a YAML text says.

    Raises:
        Invalid: the YAML is broken, a member is unknown, or a value does not fit; all are named.
    """
    try:
        data: JSON = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise Invalid(f"{name} is not YAML: {error}") from error
    try:
        return ModelsConfig.model_validate(data)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()]
        raise Invalid(f"{name}: " + "; ".join(lines)) from error
