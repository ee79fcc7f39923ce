"""What an agent's author writes against: the context of a run, its result, its clear failure.

An agent's module holds ``skills: dict[str, SkillFunction]`` and, optionally,
``async def warm_up(settings) -> None``, which is awaited before ``/ready`` says yes.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.contracts.modes import ModelsConfig
from concilium.contracts.task import Problem

Report = Callable[[float | None, str], Awaitable[None]]
"""Tells the caller how far a run is: fraction from 0 to 1 (or None when unknown) and a short message."""


@dataclass(frozen=True, slots=True)
class OutFile:
    """A file a skill made."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SkillResult:
    """What a run gives back: JSON that fits the skill's output schema, and files."""

    output: JSON
    files: tuple[OutFile, ...] = ()


class SkillFailed(Exception):
    """A clear failure: a stable type, a sentence for the caller, and whether trying again may help."""

    def __init__(self, type: str, detail: str, retryable: bool = False) -> None:  # noqa: A002 - RFC 9457's member name
        super().__init__(f"{type}: {detail}")
        # A detail may quote what a program printed; lone surrogates in it could not travel.
        self.problem = Problem(type=type, detail=detail.encode(errors="replace").decode(), retryable=retryable)


async def _silent(_fraction: float | None, _message: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class SkillContext:
    """What a run may use. Cancellation reaches the skill as asyncio cancellation."""

    run_id: str
    files: Mapping[str, bytes]
    """The input's files by SHA-256 (hex), already verified."""
    settings: Mapping[str, JSON]
    """``settings`` of ``agent.yaml``."""
    folder: Path
    """Where `workdir` is made."""
    engine: EngineConfig | None = None
    """The engine the manifest's ``engine`` names, for `concilium.engine.EngineClient`; None when none is configured."""
    deadline_at: float = field(default=float("inf"))
    """``time.monotonic()`` at which the runtime cancels the run."""
    report: Report = _silent
    models: ModelsConfig | None = None
    """The modes of ``models.yaml``, for asking the engine."""

    @property
    def workdir(self) -> Path:
        """A private folder, empty and made when first asked for; removed after the run."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        return self.folder

    @property
    def deadline_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.deadline_at - time.monotonic())

    async def progress(self, fraction: float | None = None, message: str = "") -> None:
        """Tell the caller how far the run is; cheap, callable often (only the newest is sent)."""
        await self.report(fraction, message)


SkillFunction = Callable[[SkillContext, JSON], Awaitable[SkillResult]]
"""A skill: the context and the input, a dict already valid by the skill's schema (annotate it with a TypedDict if you
like). A file in it is a `FileRef` object; its bytes are in ``ctx.files[sha256]``."""
