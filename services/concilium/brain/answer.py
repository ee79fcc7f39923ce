"""Stage answer: what the caller gets back, from what the steps left."""

from collections.abc import Callable

from concilium.brain.delegate import Delegation, Fate
from concilium.brain.references import dependencies
from concilium.brain.resolve import files_of
from concilium.brain.thoughts import REFORMULATE, GiveUp, step_thought
from concilium.brain.words import Language, say
from concilium.contracts.base import JSON
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.states import StepState
from concilium.contracts.task import Answer, Problem, Provenance, StageEvent
from concilium.contracts.turn import Advance, Finish, StepRun, Turn

_TEXT_CHARS = 20_000
"""Characters of one step's text in the answer; the whole is in ``outputs`` and the artifacts."""


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
    used = {name for step in plan.steps if step.name in done for name in dependencies(step)}
    last = [step for step in plan.steps if step.name in done and step.name not in used]
    parts = [_described(done[step.name], language) for step in last]
    if len(parts) > 1:
        parts = [f"{step.title or step.name}:\n{part}" for step, part in zip(last, parts, strict=True)]
    if not parts:
        parts = [say("nothing_done", language)]
    return "\n\n".join([*parts, *failures])


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


def _described(run: StepRun, language: Language) -> str:
    output = run.output if isinstance(run.output, dict) else {"result": run.output}
    return _BY_SKILL.get(run.skill, _generic)(run, output, language)


def _code(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    lines = [_cut(output.get("stdout", "")) or say("empty", language)]
    if output.get("exit_code"):
        lines.append(say("exit", language, code=output["exit_code"]))
        lines.append(_cut(output.get("stderr", "")))
    if output.get("limit"):
        lines.append(say("limit", language, limit=output["limit"]))
    return "\n".join([line for line in lines if line] + _files(run, language))


def _image(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    wanted = ("format", "width", "height", "mode", "bytes")
    if not all(name in output for name in wanted):
        return _generic(run, output, language)
    return "\n".join([say("image", language, **{name: output[name] for name in wanted}), *_files(run, language)])


def _speech(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    seconds = output.get("duration_s")
    names = [file.name for file in files_of(run.artifacts)]
    if not isinstance(seconds, int | float) or not names:
        return _generic(run, output, language)
    spoken = _cut(run.input.get("text", ""))
    return "\n".join([*([spoken] if spoken else []), say("audio", language, name=names[0], seconds=seconds)])


def _generic(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    texts = [output[name] for name in ("text", "answer", "result", "summary") if isinstance(output.get(name), str)]
    scalars = [f"{key}: {value}" for key, value in output.items() if isinstance(value, str | int | float | bool)]
    body = _cut(texts[0]) if texts else _cut("\n".join(scalars))
    return "\n".join([body or say("empty", language), *_files(run, language)])


_BY_SKILL: dict[str, Callable[[StepRun, dict[str, JSON], Language], str]] = {
    "code.run": _code,
    "vision.inspect": _image,
    "tts.speak": _speech,
}


def _files(run: StepRun, language: Language) -> list[str]:
    return [say("file", language, name=file.name) for file in files_of(run.artifacts)]


def _cut(value: JSON) -> str:
    text = str(value).rstrip()
    return text if len(text) <= _TEXT_CHARS else text[:_TEXT_CHARS] + " …"
