"""A turn under test: it applies what `Brain.advance` decides as the ledger does, in memory."""

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from concilium.brain import Brain
from concilium.brain.thoughts import PlanFound
from concilium.contracts import limits
from concilium.contracts.parts import Artifact, FilePart, FileRef
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.skill import Catalog
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Priority, Problem, Request, StageEvent
from concilium.contracts.turn import Advance, Dispatch, Finish, StepRun, Turn
from concilium.home import Home

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INVOICE = FileRef(sha256="a" * 64, name="invoice.png", media_type="image/png", size=10)
SCRIPT = FileRef(sha256="b" * 64, name="sum.py", media_type="text/x-python", size=20)
WAV = FileRef(sha256="c" * 64, name="speech.wav", media_type="audio/wav", size=30)

READ = {"text": "total 42", "lines": [], "language": "en", "engine": "test", "width": 10, "height": 10}
SPOKEN = {"duration_s": 1.5, "sample_rate": 16000, "voice": "en", "engine": "test", "language": "en", "characters": 3}


def shipped_catalog() -> Catalog:
    """Return the agents that come with Concilium."""
    with tempfile.TemporaryDirectory() as empty:
        return Home.find({"CONCILIUM_HOME": empty}).catalog


def new_turn(text: str = "do it", files: tuple[FileRef, ...] = (), **values: Any) -> Turn:
    """Return a turn nothing has happened to."""
    base: dict[str, Any] = {
        "task_id": "tsk_1",
        "request": Request(text=text, files=files),
        "priority": Priority.NORMAL,
        "state": TaskState.SUBMITTED,
        "now": NOW,
        "deadline_at": NOW + timedelta(minutes=10),
    }
    return Turn(**{**base, **values})


def step(name: str, skill: str, after: tuple[str, ...] = (), **data: Any) -> PlanStep:
    """Return a step; its agent is the skill's."""
    return PlanStep(name=name, agent=skill.split(".")[0], skill=skill, input=data, after=after)


def ref(pointer: str) -> dict[str, str]:
    return {"$ref": "#" + pointer}


@dataclass
class History:
    """One turn's life, fold after fold."""

    brain: Brain
    turn: Turn
    ended: Finish | None = None
    question: str | None = None
    thinking: str | None = None
    dispatched: list[Dispatch] = field(default_factory=list)
    stages: list[StageEvent] = field(default_factory=list)
    decisions: list[tuple[Turn, Advance]] = field(default_factory=list)

    @classmethod
    def planned(cls, brain: Brain, *steps: PlanStep, text: str = "do it", files: tuple[FileRef, ...] = ()) -> "History":
        """Return the history of a turn for which an engine's plan is stored, advanced once."""
        thoughts = {"plan": PlanFound(plan=Plan(steps=steps)).model_dump(mode="json")}
        history = cls(brain, new_turn(text, files, thoughts=thoughts))
        history.advance()
        return history

    def advance(self) -> Advance:
        """Fold until nothing is refused any more; return the last decision."""
        for _ in range(limits.PLAN_STEPS * limits.ATTEMPTS_MAX + 1):
            decision = self.brain.advance(self.turn)
            self.decisions.append((self.turn, decision))
            self._apply(decision)
            if not decision.refuse:
                return decision
        raise AssertionError("the fold refuses without end")

    def open(self) -> set[str]:
        """Return the steps under way."""
        return {run.step for run in self.turn.runs if not run.state.terminal}

    def complete(self, name: str, output: Any, *files: FileRef) -> Advance:
        """Complete a step's open attempt."""
        parts = tuple(FilePart(file=file) for file in files)
        artifacts = (Artifact(name="files", parts=parts),) if files else ()
        return self._end(name, state=StepState.COMPLETED, output=output, artifacts=artifacts, node="home")

    def fail(self, name: str, detail: str = "broken", *, retryable: bool = False) -> Advance:
        """Fail a step's open attempt."""
        problem = Problem(type="skill-error", detail=detail, retryable=retryable)
        return self._end(name, state=StepState.FAILED, problem=problem)

    def think(self, thought: BaseModel) -> Advance:
        """Store what the engine said about what the turn waits for."""
        assert self.thinking is not None
        name, self.thinking = self.thinking, None
        self._change(thoughts={**self.turn.thoughts, name: thought.model_dump(mode="json")})
        return self.advance()

    def attempts(self, name: str) -> list[int]:
        return [order.attempt for order in self.dispatched if order.step == name]

    def _end(self, name: str, **values: Any) -> Advance:
        (run,) = [run for run in self.turn.runs if run.step == name and not run.state.terminal]
        ended = run.model_copy(update={"duration_s": 0.5, **values})
        self._change(runs=tuple(ended if other is run else other for other in self.turn.runs))
        return self.advance()

    def _change(self, **values: Any) -> None:
        self.turn = self.turn.model_copy(update=values)

    def _apply(self, decision: Advance) -> None:
        refused = [
            StepRun(
                step=r.step, attempt=r.attempt, agent=r.agent, skill=r.skill, state=StepState.FAILED, problem=r.problem
            )
            for r in decision.refuse
        ]
        made = [
            StepRun(step=d.step, attempt=d.attempt, agent=d.agent, skill=d.skill, state=StepState.READY, input=d.input)
            for d in decision.dispatch
        ]
        known = {(run.step, run.attempt) for run in self.turn.runs}
        assert not known & {(run.step, run.attempt) for run in refused + made}, "an attempt was made twice"
        self.dispatched += decision.dispatch
        self.stages += decision.stages
        self._change(
            plan=decision.plan or self.turn.plan,
            planner=decision.planner or self.turn.planner,
            notes=(*self.turn.notes, *decision.notes),
            runs=(*self.turn.runs, *refused, *made),
        )
        self.thinking = decision.think or self.thinking
        self.question = decision.ask
        if decision.finish is not None:
            self.ended = decision.finish
            self._change(state=TaskState(decision.finish.state))
