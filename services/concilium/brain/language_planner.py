"""The language planner: an engine decides what the skill router was not sure of; its answers become stored thoughts.

Whatever the engine says is judged here and again by `plan.plan_turn` and `delegate` before anything is dispatched.
"""

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

import orjson
from pydantic import Field, ValidationError

from concilium.brain.plan_schema import plan_reply_schema, step_reply_schema
from concilium.brain.prompting import plan_messages, problems_of, reformulate_messages, repair_messages
from concilium.brain.references import dependencies
from concilium.brain.schemas import SkillIndex
from concilium.brain.thoughts import EngineDown, GiveUp, NewInput, NoValidPlan, PlanFound, Question, Refusal
from concilium.brain.validate import plan_problems
from concilium.contracts import limits
from concilium.contracts.base import JSON, Model
from concilium.contracts.errors import InvalidPlan
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.states import StepState
from concilium.contracts.turn import StepRun, Turn
from concilium.engine import EngineError, Message

MAX_TOKENS = 4096
"""Tokens of one answer; a script copied into a plan has to fit."""
_WORDS_CHARS = 2_000
_T = TypeVar("_T")


class Engine(Protocol):
    """What the planner needs of `concilium.engine.EngineClient`."""

    async def chat(self, messages: list[Message], *, schema: dict[str, JSON], max_tokens: int, purpose: str) -> str:
        """Return the model's answer. Raises `EngineError`."""


class _StepReply(Model):
    name: str
    skill: str
    input: dict[str, JSON]
    after: tuple[str, ...] = ()
    when: dict[str, JSON] | None = None


class _PlanReply(Model):
    decision: Literal["plan", "ask", "refuse"]
    steps: tuple[_StepReply, ...] = ()
    question: str = ""
    reason: str = ""


class _InputReply(Model):
    decision: Literal["retry", "give_up"]
    input: dict[str, JSON] = Field(default_factory=dict)
    reason: str = ""


class LanguagePlanner:
    """Asks an engine for plans and for new inputs of failed steps. Holds no state of a turn."""

    def __init__(self, engine: Engine, index: SkillIndex) -> None:
        self._engine = engine
        self._index = index
        self._schema = plan_reply_schema(index)

    async def plan(self, turn: Turn) -> PlanFound | Question | Refusal | NoValidPlan | EngineDown:
        """Return what to do about a turn's request; an answer that cannot be carried out is repaired once."""
        messages = plan_messages(turn, self._index)
        try:
            return await self._answer("brain.plan", messages, self._schema, lambda raw: self._planned(raw, turn))
        except InvalidPlan as error:
            return NoValidPlan(problems=problems_of(error))
        except EngineError as error:
            return EngineDown(reason=str(error))

    async def reformulate(self, turn: Turn, step: str) -> NewInput | GiveUp:
        """Return another input for a step whose last attempt failed, or why there is none."""
        failed = next((planned for planned in turn.plan.steps if planned.name == step), None) if turn.plan else None
        last = next((run for run in reversed(turn.runs) if run.step == step), None)
        schemas = self._index.skills.get(failed.skill) if failed else None
        if failed is None or last is None or schemas is None:
            return GiveUp(reason=f"step '{step}' or its skill does not exist any more")
        messages = reformulate_messages(turn, failed, last, schemas)
        try:
            schema = step_reply_schema(schemas)
            return await self._answer(
                "brain.reformulate", messages, schema, lambda raw: self._reformulated(raw, turn, failed, last)
            )
        except InvalidPlan as error:
            return GiveUp(reason="the engine gave no usable input: " + "; ".join(problems_of(error)))
        except EngineError as error:
            return GiveUp(reason=f"the engine could not be asked: {error}")

    async def _answer(
        self, purpose: str, messages: list[Message], schema: dict[str, JSON], read: Callable[[str], _T]
    ) -> _T:
        """Return what ``read`` makes of the engine's answer, or of its second one when the first is invalid.

        Raises:
            InvalidPlan: the second answer is invalid too.
            EngineError: the engine could not be asked.
        """
        raw = await self._engine.chat(messages, schema=schema, max_tokens=MAX_TOKENS, purpose=purpose)
        try:
            return read(raw)
        except InvalidPlan as error:
            again = repair_messages(messages, raw, error)
        return read(await self._engine.chat(again, schema=schema, max_tokens=MAX_TOKENS, purpose=purpose))

    def _planned(self, raw: str, turn: Turn) -> PlanFound | Question | Refusal:
        """Read an answer about a request. Raises `InvalidPlan`."""
        reply = _read(_PlanReply, raw)
        if reply.decision == "plan":
            plan = self._plan_of(reply)
            _check(plan_problems(plan, turn.request, self._index))
            return PlanFound(plan=plan)
        if reply.decision == "ask":
            return Question(text=_words(reply.question, "question"))
        return Refusal(reason=_words(reply.reason, "reason"))

    def _plan_of(self, reply: _PlanReply) -> Plan:
        known = ", ".join(sorted(self._index.skills))
        _check(
            [
                f"step '{step.name}': no skill '{step.skill}'; known: {known}"
                for step in reply.steps
                if step.skill not in self._index.agent_of
            ]
        )
        steps = [{**step.model_dump(), "agent": self._index.agent_of[step.skill]} for step in reply.steps]
        return _valid(Plan, {"steps": steps})

    def _reformulated(self, raw: str, turn: Turn, step: PlanStep, last: StepRun) -> NewInput | GiveUp:
        """Read an answer about a failed step. Raises `InvalidPlan`."""
        reply = _read(_InputReply, raw)
        if reply.decision == "give_up":
            return GiveUp(reason=_words(reply.reason, "reason"))
        if reply.input == step.input:
            return GiveUp(reason="the engine proposed the same input again")
        assert turn.plan is not None  # noqa: S101 - the step is one of its steps; narrows the type
        changed = step.model_copy(update={"input": reply.input})
        plan = Plan(steps=tuple(changed if other.name == step.name else other for other in turn.plan.steps))
        _check(plan_problems(plan, turn.request, self._index))
        done = {run.step for run in turn.runs if run.state is StepState.COMPLETED}
        # The steps it waited for before are over: completed, or passed over.
        over = done | dependencies(step)
        _check([f"refers to step '{name}', which is not complete" for name in sorted(dependencies(changed) - over)])
        return NewInput(after_attempt=last.attempt, input=reply.input)


_M = TypeVar("_M", bound=Model)


def _read(model: type[_M], raw: str) -> _M:
    """Return an answer as its model. Raises `InvalidPlan` saying where it differs."""
    # An engine that cannot enforce a schema puts the object into a fence or after its musings.
    begin, end = raw.find("{"), raw.rfind("}")
    try:
        value: JSON = orjson.loads(raw[begin : end + 1] if 0 <= begin < end else raw)
    except orjson.JSONDecodeError as error:
        raise InvalidPlan(f"the answer is not JSON: {error}") from error
    if _deep(value):
        raise InvalidPlan(f"the answer is nested deeper than {limits.JSON_DEPTH} levels")
    return _valid(model, value)


def _valid(model: type[_M], value: JSON) -> _M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'the answer'}: {e['msg']}" for e in error.errors()]
        raise InvalidPlan("; ".join(problems), problems=problems) from error


def _check(problems: list[str]) -> None:
    if problems:
        raise InvalidPlan("; ".join(problems), problems=problems)


def _words(text: str, member: str) -> str:
    """Return a sentence for the caller. Raises `InvalidPlan` when there is none."""
    if not text.strip():
        raise InvalidPlan(f"'{member}' is empty")
    return text.strip()[:_WORDS_CHARS]


def _deep(value: JSON) -> bool:
    level = [value]
    for _ in range(limits.JSON_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
