"""Turns for the brain's tests, told from request to end by lists that apply decisions the way the ledger does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from concilium.brain import Brain
from concilium.contracts.parts import Artifact, FilePart, FileRef
from concilium.contracts.skill import Catalog
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Priority, Problem, Request
from concilium.contracts.turn import Advance, Dispatch, Finish, Refuse, StepRun, Turn
from concilium.home import Home

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PNG = FileRef(sha256="a" * 64, name="invoice.png", media_type="image/png", size=10)
WAV = FileRef(sha256="b" * 64, name="speech.wav", media_type="audio/wav", size=20)
OUTPUTS: dict[str, Any] = {
    "vision.ocr": {"text": "Total 42", "lines": [], "language": "en", "engine": "e", "width": 9, "height": 9},
    "vision.inspect": {"format": "PNG", "width": 8, "height": 6, "mode": "RGB", "bytes": 99},
    "code.run": {"stdout": "42\n", "stderr": "", "exit_code": 0, "duration_s": 0.1, "limit": None},
    "tts.speak": {"duration_s": 3.21, "sample_rate": 22050, "voice": "en-us", "engine": "e", "language": "en"},
}


def shipped_catalog() -> Catalog:
    """The agents of this repository."""
    return Home(Path("/nonexistent"), {}).catalog


def turn(text: str = "", files: tuple[FileRef, ...] = (), **more: Any) -> Turn:
    """Return a fresh turn."""
    values = {
        "task_id": "task_1",
        "request": Request(text=text, files=files),
        "priority": Priority.NORMAL,
        "state": TaskState.SUBMITTED,
        "now": NOW,
        "deadline_at": NOW + timedelta(minutes=10),
    }
    return Turn(**(values | more))


class Story:
    """One turn from its request to its end."""

    def __init__(self, brain: Brain, turn: Turn) -> None:
        self.brain, self.turn = brain, turn
        self.decisions: list[Advance] = []
        self.dispatched: list[Dispatch] = []
        self.think: str | None = None
        self.ask: str | None = None
        self.finish: Finish | None = None
        self.fold()

    @property
    def open(self) -> list[StepRun]:
        """The attempts that are not over."""
        return [run for run in self.turn.runs if not run.state.terminal]

    def fold(self) -> None:
        """Call the fold until it refuses nothing."""
        for _ in range(100):
            decision = self.brain.advance(self.turn)
            self.decisions.append(decision)
            self._apply(decision)
            if not decision.refuse:
                return
        raise AssertionError("the fold refuses without end")

    def end(self, step: str, state: StepState = StepState.COMPLETED, **more: Any) -> None:
        """End the open attempt of a step and fold on."""
        runs = tuple(
            _ended(run, state, more) if run.step == step and not run.state.terminal else run for run in self.turn.runs
        )
        self.turn = self.turn.model_copy(update={"runs": runs})
        self.fold()

    def fail(self, step: str, *, retryable: bool = False, detail: str = "it broke") -> None:
        """Fail the open attempt of a step."""
        self.end(step, StepState.FAILED, problem=Problem(type="broke", detail=detail, retryable=retryable))

    def thought(self, name: str, value: Any) -> None:
        """Store a thought and fold on."""
        self.turn = self.turn.model_copy(update={"thoughts": {**self.turn.thoughts, name: value}})
        self.fold()

    def reply(self, text: str) -> None:
        """Answer the question."""
        request = self.turn.request.model_copy(update={"replies": (*self.turn.request.replies, text)})
        self.turn = self.turn.model_copy(update={"request": request})
        self.fold()

    def _apply(self, decision: Advance) -> None:
        made = [_made(order) for order in (*decision.refuse, *decision.dispatch)]
        update: dict[str, Any] = {
            "runs": (*self.turn.runs, *made),
            "notes": (*self.turn.notes, *decision.notes),
            "plan": decision.plan or self.turn.plan,
            "planner": decision.planner or self.turn.planner,
        }
        self.turn = self.turn.model_copy(update=update)
        self.dispatched += decision.dispatch
        self.think, self.ask, self.finish = decision.think, decision.ask, decision.finish


def _made(order: Dispatch | Refuse) -> StepRun:
    who = {"step": order.step, "attempt": order.attempt, "agent": order.agent, "skill": order.skill}
    if isinstance(order, Refuse):
        return StepRun(**who, state=StepState.FAILED, problem=order.problem)
    return StepRun(**who, state=StepState.READY, input=order.input)


def _ended(run: StepRun, state: StepState, more: dict[str, Any]) -> StepRun:
    values: dict[str, Any] = {"state": state, "node": "home", "duration_s": 0.5}
    if state is StepState.COMPLETED:
        values["output"] = OUTPUTS.get(run.skill, {"text": "done"})
        if run.skill == "tts.speak":
            values["artifacts"] = (Artifact(name=WAV.name, parts=(FilePart(file=WAV),)),)
    return run.model_copy(update=values | more)
