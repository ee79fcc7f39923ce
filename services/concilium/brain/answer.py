"""Stage answer: what the caller gets back, from what the steps left."""

from concilium.brain.delegate import Delegation, Fate
from concilium.brain.described import described
from concilium.brain.references import dependencies
from concilium.brain.thoughts import REFORMULATE, GiveUp, step_thought
from concilium.brain.words import Language, say
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.states import StepState
from concilium.contracts.task import Answer, Problem, Provenance, StageEvent
from concilium.contracts.turn import Advance, Finish, StepRun, Turn


def finish(turn: Turn, plan: Plan, fates: Delegation, language: Language, *, engine: bool) -> Advance:
    """Return the end of a turn whose steps are all done, failed or skipped."""
    done = {r.step: r for r in turn.runs if r.state is StepState.COMPLETED}
    failures = _failures(turn, plan, fates.fates, language)
    notes = (*turn.notes, *_given_up(turn, language), *(() if engine else (say("no_engine", language),)))
    answer = Answer(
        text=_text(plan, done, failures, language),
        planner=turn.planner,
        notes=notes,
        outputs={name: run.output for name, run in done.items()},
        provenance=tuple(_provenance(run) for run in turn.runs),
    )
    event = StageEvent(stage="answer", output={"completed": sorted(done), "failures": failures})
    if done:
        return Advance(stages=(event,), finish=Finish(state="completed", answer=answer))
    problem = Problem(type="steps-failed", detail=" ".join(failures))
    return Advance(stages=(event,), finish=Finish(state="failed", answer=answer, problem=problem))


def _text(plan: Plan, done: dict[str, StepRun], failures: list[str], language: Language) -> str:
    used = _used(plan, done)
    last = [step for step in plan.steps if step.name in done and step.name not in used]
    parts = [described(done[step.name], language) for step in last]
    if len(parts) > 1:
        parts = [f"{step.title or step.name}:\n{part}" for step, part in zip(last, parts, strict=True)]
    if not parts:
        parts = [say("nothing_done", language)]
    return "\n\n".join([*parts, *failures])


def _used(plan: Plan, done: dict[str, StepRun]) -> set[str]:
    """Return the steps whose result a completed step took, also through steps that were passed over."""
    used: set[str] = set()
    left = [step for step in plan.steps if step.name in done]
    while left:
        for name in dependencies(left.pop()) - used:
            used.add(name)
            if name not in done:
                left.append(plan.step(name))
    return used


def _failures(turn: Turn, plan: Plan, fates: dict[str, Fate], language: Language) -> list[str]:
    messages = []
    for step in plan.steps:
        if fates[step.name] is Fate.FAILED:
            last = [run for run in turn.runs if run.step == step.name][-1]
            reason = last.problem.detail if last.problem else str(last.state)
            messages.append(
                say("failed", language, step=step.name, skill=step.skill, attempts=last.attempt, reason=reason)
            )
        elif fates[step.name] is Fate.SKIPPED:
            cause = _cause(step, fates)
            messages.append(say("skipped", language, step=step.name, skill=step.skill, cause=cause))
    return messages


def _given_up(turn: Turn, language: Language) -> list[str]:
    """Say for which failed steps the engine had no other input, and why."""
    notes = []
    for name, value in turn.thoughts.items():
        if name.startswith(REFORMULATE):
            thought = step_thought.validate_python(value)
            if isinstance(thought, GiveUp):
                notes.append(say("gave_up", language, step=name.removeprefix(REFORMULATE), reason=thought.reason))
    return notes


def _cause(step: PlanStep, fates: dict[str, Fate]) -> str:
    return next(name for name in sorted(dependencies(step)) if fates[name] in {Fate.FAILED, Fate.SKIPPED})


def _provenance(run: StepRun) -> Provenance:
    return Provenance(
        step=run.step,
        agent=run.agent,
        skill=run.skill,
        node=run.node,
        attempt=run.attempt,
        state=run.state,
        duration_s=run.duration_s,
        artifacts=tuple(artifact.name for artifact in run.artifacts),
        problem=run.problem,
    )
