"""The engines of one run: each started when first needed, all ended with the run."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from concilium.contracts.base import JSON
from concilium.engine import EngineClient
from concilium.workers.runtime.skill import SkillContext, SkillFailed
from concilium.workers.tts import espeak, festival, flite, neural
from concilium.workers.tts.script import Line
from concilium.workers.tts.sound import Manner, Sound, louder


class Speaker(Protocol):
    """An engine: text in words, one of its own voices' names, and a manner; sound comes back."""

    async def say(self, text: str, voice: str, manner: Manner) -> Sound:
        """Return the sentence as sound. Raises `SkillFailed`."""
        ...


def timeout_of(settings: Mapping[str, JSON]) -> float:
    """Return the seconds one sentence may take."""
    return float(settings.get("sentence_timeout_s", 20))


class Speakers:
    """Opens engines as lines ask for them; an async context manager."""

    def __init__(self, ctx: SkillContext) -> None:
        self._ctx = ctx
        self._open: dict[str, Speaker] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def say(self, line: Line) -> Sound:
        """Return a line as sound. Raises `SkillFailed`."""
        speaker = self._open.get(line.voice.engine)
        if speaker is None:
            speaker = self._open[line.voice.engine] = await self._start(line.voice.engine)
        return louder(await speaker.say(line.words, line.voice.own_name, line.manner), line.volume_db)

    async def _start(self, engine: str) -> Speaker:
        timeout_s = timeout_of(self._ctx.settings)
        match engine:
            case espeak.NAME:
                return await self._stack.enter_async_context(espeak.running_engine(timeout_s))
            case flite.NAME:
                return flite.Flite(self._ctx.workdir, timeout_s)
            case festival.NAME:
                return festival.Festival(self._ctx.workdir, timeout_s)
        if self._ctx.engine is None:
            raise SkillFailed("no-engine", neural.GET)
        return neural.Neural(await self._stack.enter_async_context(EngineClient(self._ctx.engine)))
