"""What the engine thought, as the ledger stores it: written by the language planner, read by `advance`."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from concilium.contracts.base import JSON, Model
from concilium.contracts.plan import Plan
from concilium.contracts.turn import Turn


class Thought(Model):
    mode: str = ""
    """How the engine was asked: a mode of ``models.yaml``; empty where none was chosen."""


class PlanFound(Thought):
    kind: Literal["plan"] = "plan"
    plan: Plan


class Question(Thought):
    kind: Literal["question"] = "question"
    text: str


class Refusal(Thought):
    kind: Literal["refusal"] = "refusal"
    reason: str


class NoValidPlan(Thought):
    """The engine answered, and even after one repair its plan could not be carried out."""

    kind: Literal["invalid"] = "invalid"
    problems: tuple[str, ...]


class EngineDown(Thought):
    """The engine could not be asked."""

    kind: Literal["unavailable"] = "unavailable"
    reason: str


class NewInput(Thought):
    """A failed step's input, reformulated; references allowed as in a plan."""

    kind: Literal["input"] = "input"
    after_attempt: int
    """The attempt whose failure was thought about."""
    input: dict[str, JSON]


class GiveUp(Thought):
    """The failed step cannot be reformulated."""

    kind: Literal["give-up"] = "give-up"
    reason: str


PlanThought = Annotated[PlanFound | Question | Refusal | NoValidPlan | EngineDown, Field(discriminator="kind")]
StepThought = Annotated[NewInput | GiveUp, Field(discriminator="kind")]
plan_thought: TypeAdapter[PlanFound | Question | Refusal | NoValidPlan | EngineDown] = TypeAdapter(PlanThought)
step_thought: TypeAdapter[NewInput | GiveUp] = TypeAdapter(StepThought)

REFORMULATE = "reformulate:"


def plan_name(turn: Turn) -> str:
    """Return the name of the plan thought: ``plan``, and ``plan:N`` once the caller answered N questions."""
    replies = len(turn.request.replies)
    return f"plan:{replies}" if replies else "plan"
