"""Stage delegate: which attempts a turn with a plan needs now."""

import hashlib
from dataclasses import dataclass, field
from enum import Enum

from concilium.brain.admit import admit
from concilium.brain.place import Placed, check_place
from concilium.brain.references import dependencies
from concilium.brain.resolve import is_wanted, resolve_input
from concilium.brain.schemas import SkillIndex
from concilium.brain.thoughts import REFORMULATE, NewInput, step_thought
from concilium.contracts import limits
from concilium.contracts.errors import Invalid, PlacementRefused
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.states import StepState
from concilium.contracts.task import Problem, StageEvent
from concilium.contracts.turn import Advance, Dispatch, Refuse, StepRun, Turn


class Fate(Enum):
    """Where a step of a plan stands."""

    WAITING = "waiting"
    OPEN = "open"
    DONE = "done"
    PASSED = "passed over"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class Delegation:
    """What the stage found: effects to apply, and every step's fate."""

    dispatch: list[Dispatch] = field(default_factory=list)
    refuse: list[Refuse] = field(default_factory=list)
    think: str | None = None
    stages: list[StageEvent] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing is to be made."""
        return all(fate in {Fate.DONE, Fate.PASSED, Fate.FAILED, Fate.SKIPPED} for fate in self.fates.values())

    @property
    def advance(self) -> Advance:
        """The effects as the brain's decision."""
        return Advance(
            dispatch=tuple(self.dispatch), refuse=tuple(self.refuse), think=self.think, stages=tuple(self.stages)
        )


def delegate(turn: Turn, plan: Plan, index: SkillIndex, placement: Placed | None = None, *, engine: bool) -> Delegation:
    """Return the attempts to make now, at most one thought to think, and every step's fate."""
    stage = _Stage(turn, index, placement, engine)
    for step in _in_order(plan):
        stage.found.fates[step.name] = stage.fate(step)
    return stage.found


def retry_delay(task_id: str, step: str, attempt: int) -> float:
    """Return the seconds to wait before an attempt (2 and higher).

    Exponential from `limits.RETRY_BASE_S` to `limits.RETRY_MAX_S`, times a jitter in [0.5, 1) from a hash, so that a
    replay decides the same.
    """
    ceiling = min(limits.RETRY_MAX_S, limits.RETRY_BASE_S * 2.0 ** (attempt - 2))
    digest = hashlib.sha256(f"{task_id}.{step}.{attempt}".encode()).digest()
    return ceiling * (0.5 + int.from_bytes(digest[:4]) / 2**33)


def _in_order(plan: Plan) -> list[PlanStep]:
    """Return the steps so that each comes after those it depends on; a validated plan has no cycle."""
    left = list(plan.steps)
    placed: dict[str, PlanStep] = {}
    while left:
        ready = [step for step in left if dependencies(step) <= placed.keys()]
        if not ready:
            raise ValueError("the plan has a cycle or an unknown dependency")
        placed.update({step.name: step for step in ready})
        left = [step for step in left if step.name not in placed]
    return list(placed.values())


class _Stage:
    """One pass over the plan's steps."""

    def __init__(self, turn: Turn, index: SkillIndex, placement: Placed | None, engine: bool) -> None:
        self.found = Delegation()
        self._placement = placement
        self._turn, self._index, self._engine = turn, index, engine
        self._last = {run.step: run for run in turn.runs}
        self._completed: dict[str, StepRun | None] = {
            run.step: run for run in turn.runs if run.state is StepState.COMPLETED
        }

    def fate(self, step: PlanStep) -> Fate:
        """Return a step's fate, noting the effects it needs; the steps it depends on have theirs already."""
        last = self._last.get(step.name)
        if step.name in self._completed:
            return Fate.DONE
        if last is None:
            return self._first(step)
        return self._after_failure(step, last) if last.state.terminal else Fate.OPEN

    def _first(self, step: PlanStep) -> Fate:
        needs = {self.found.fates[name] for name in dependencies(step)}
        if needs & {Fate.FAILED, Fate.SKIPPED}:
            return Fate.SKIPPED
        if needs - {Fate.DONE, Fate.PASSED}:
            return Fate.WAITING
        if not is_wanted(step.when, self._turn.request, self._completed):
            self._completed[step.name] = None
            return Fate.PASSED
        return self._make(step, 1)

    def _after_failure(self, step: PlanStep, last: StepRun) -> Fate:
        schemas = self._index.skills.get(step.skill)
        if schemas is None or last.state is StepState.CANCELED:
            return Fate.FAILED
        name = REFORMULATE + step.name
        if name in self._turn.thoughts:
            thought = step_thought.validate_python(self._turn.thoughts[name])
            if isinstance(thought, NewInput) and last.attempt <= thought.after_attempt:
                self.found.stages.append(
                    StageEvent(stage="reformulate", output={"step": step.name, "input": thought.input})
                )
                return self._make(step.model_copy(update={"input": thought.input}), last.attempt + 1)
            return Fate.FAILED
        if last.problem is not None and last.problem.retryable and last.attempt < schemas.skill.attempts:
            return self._make(step, last.attempt + 1)
        unplaced = last.problem is not None and last.problem.type == PlacementRefused.type
        if unplaced or not self._engine:
            return Fate.FAILED
        self.found.think = self.found.think or name
        return Fate.OPEN

    def _make(self, step: PlanStep, attempt: int) -> Fate:
        """Add the attempt to dispatch, or the refusal when its input does not fit. Its fate is open either way."""
        try:
            if step.skill not in self._index.skills:
                raise Invalid(f"no agent has the skill '{step.skill}' any more")
            if self._placement is not None:
                check_place(step, self._turn.data_class, self._placement(), admit(self._turn).language)
            schemas = self._index.skills[step.skill]
            data = resolve_input(step.input, self._turn.request, self._completed, schemas)
        except Invalid as error:
            problem = Problem(type=error.type, detail=error.detail)
            self.found.refuse.append(
                Refuse(step=step.name, attempt=attempt, agent=step.agent, skill=step.skill, problem=problem)
            )
            return Fate.OPEN
        self.found.dispatch.append(
            Dispatch(
                step=step.name,
                attempt=attempt,
                agent=step.agent,
                skill=step.skill,
                input=data,
                delay_s=retry_delay(self._turn.task_id, step.name, attempt) if attempt > 1 else 0.0,
                deadline_s=step.deadline_s or schemas.skill.deadline_s,
                effects=schemas.skill.effects,
            )
        )
        return Fate.OPEN
