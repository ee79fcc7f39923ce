"""The rounds of ``code.generate``: the engine writes, the sandbox tries, what failed goes back."""

import asyncio
from dataclasses import dataclass, field, replace

from concilium.contracts.base import JSON
from concilium.engine import EngineClient, EngineError, Message
from concilium.workers.code import suite
from concilium.workers.code.check import examine
from concilium.workers.code.extract import source_in
from concilium.workers.code.host import Place
from concilium.workers.code.inputs import encoded
from concilium.workers.code.prompt import Asked, check_result, first_messages, next_messages, suite_result
from concilium.workers.code.sandbox.job import File
from concilium.workers.runtime.skill import SkillContext, SkillFailed

_ANSWER_TOKENS = 4096
_RESERVE_S = 3.0
"""Seconds of the deadline kept back to hand over the best attempt."""
_ROUND_S = 2.0
"""A round with less time than this is not begun."""
_BUSY = {408, 425, 429}
_TEST_TOOLS = {"pytest", "ruff"}


@dataclass
class Attempt:
    """One round: what the engine wrote and what came of it."""

    number: int
    source: str
    outcome: str
    """``passed``, ``failed``, ``no-code`` or ``repeated``."""
    told: str
    """What the engine is told of it."""
    tests: dict[str, JSON] | None = None

    @property
    def score(self) -> tuple[int, bool]:
        """Better attempts compare greater: more tests passed, then all of them."""
        return (self.tests["passed"] if self.tests else 0), self.outcome == "passed"

    @property
    def short(self) -> str:
        """What came of it, for a progress line."""
        if not self.tests:
            return self.outcome
        return f"{self.tests['passed']} tests passed, {self.tests['failed'] + self.tests['errors']} did not"


@dataclass
class Writing:
    """One run of the skill as it goes on."""

    ctx: SkillContext
    place: Place
    asked: Asked
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    model: str = ""

    @property
    def best(self) -> Attempt | None:
        """The first of the best attempts with code."""
        return max((a for a in self.attempts if a.source), key=lambda attempt: attempt.score, default=None)

    async def go_on(self, engine: EngineClient) -> None:
        """Make rounds until one passes, the engine repeats itself, or rounds or time are used up.

        Raises:
            SkillFailed: a round failed before there was any code.
        """
        packages = [name for pin in self.ctx.settings.get("packages", ()) if (name := _name(pin)) not in _TEST_TOOLS]
        first = first_messages(self.asked, self.place.packages.python.version, packages)
        messages, rounds = first, self.asked.rounds
        for number in range(1, rounds + 1):
            if number > 1 and self._left_s < _ROUND_S:
                self.notes.append("the deadline left no time for another round")
                return
            attempt = await self._round(engine, messages, number)
            if attempt is None:
                return
            self.attempts.append(attempt)
            await self._tell(number / rounds, number, attempt.short)
            if attempt.outcome in {"passed", "repeated"}:
                return
            messages = next_messages(first, attempt.source, attempt.told)

    @property
    def _left_s(self) -> float:
        return self.ctx.deadline_s - _RESERVE_S

    async def _round(self, engine: EngineClient, messages: list[Message], number: int) -> Attempt | None:
        """Return an attempt; None when the round failed but an earlier one left code."""
        left = self._left_s
        try:
            async with asyncio.timeout(None if left == float("inf") else left):
                await self._tell((number - 1) / self.asked.rounds, number, "the engine writes")
                said = await self._answer(engine, messages)
                return await self._try(number, source_in(said))
        except TimeoutError:
            failure = SkillFailed("deadline-exceeded", "the deadline came first")
        except SkillFailed as error:
            failure = error
        if self.best is None:
            raise failure
        self.notes.append(f"round {number} was given up: {failure.problem.detail}")
        return None

    async def _answer(self, engine: EngineClient, messages: list[Message]) -> str:
        tokens = int(self.ctx.settings.get("answer_tokens", _ANSWER_TOKENS))
        try:
            said = await engine.chat(messages, max_tokens=tokens, purpose="code.generate")
        except EngineError as error:
            raise _engine_failed(error) from error
        self.model = engine.model
        return said

    async def _try(self, number: int, source: str) -> Attempt:
        """Return what comes of a source."""
        if not source:
            return Attempt(number, "", "no-code", "There was no fenced Python block in the answer.")
        earlier = next((attempt for attempt in self.attempts if attempt.source == source), None)
        if earlier:
            self.notes.append(f"round {number} brought the source of round {earlier.number} again, so it was the last")
            return replace(earlier, number=number, outcome="repeated")
        await self._tell((number - 0.5) / self.asked.rounds, number, "the source is tried")
        code = File(self.asked.module, encoded(source))
        if not self.asked.tests:
            report = await examine(self.ctx, self.place, (code,), "python")
            told = "No mistakes were found in the module." if report["ok"] else check_result(report)
            return Attempt(number, source, "passed" if report["ok"] else "failed", told)
        tests = suite.Suite(self.asked.tests, (code, *self.asked.files), self._left_s)
        verdict = await suite.carry_out(self.ctx, self.place, tests)
        return Attempt(number, source, "passed" if verdict["ok"] else "failed", suite_result(verdict), verdict)

    async def _tell(self, fraction: float, number: int, what: str) -> None:
        await self.ctx.progress(fraction, f"round {number} of {self.asked.rounds}: {what}")


def _name(pin: str) -> str:
    return pin.partition("==")[0]


def _engine_failed(error: EngineError) -> SkillFailed:
    """Return the failure; it is worth trying again unless the engine understood and refused."""
    if error.kind != "refused":
        return SkillFailed(f"engine-{error.kind}", f"the engine: {error}", retryable=True)
    again = error.status is not None and (error.status >= 500 or error.status in _BUSY)
    advice = "look at engine.url, model and api_key_file, and at settings.answer_tokens beside the model's context"
    return SkillFailed("engine-refused", f"the engine {error}; {advice}", retryable=again)
