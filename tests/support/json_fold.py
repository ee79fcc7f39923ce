"""A control plane whose requests say their plan as JSON, for tests of what lies below the brain.

The text is a list of steps: ``[{"name": "a", "input": {"text": "hi"}, "after": [], "skill": "noop.echo"}]``;
``skill`` may be absent, an input ``"$file"`` stands for the request's first file, the title ``external`` for such
effects. A retryable failure is tried three times. Run as a module it is that process.
"""

import json
import logging
from typing import Any

from concilium.contracts.errors import InvalidPlan
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState
from concilium.contracts.task import Answer, Problem
from concilium.contracts.turn import Advance, Dispatch, Finish, StepRun, Turn

ATTEMPTS = 3


def steps(*wanted: dict[str, Any]) -> str:
    """Return the text of a request for these steps."""
    return json.dumps(list(wanted))


def advance(turn: Turn) -> Advance:
    """Dispatch what is ready; finish when nothing is left."""
    plan = turn.plan or _plan(turn.request.text)
    last: dict[str, StepRun] = {run.step: run for run in turn.runs}
    done = {name for name, run in last.items() if run.state is StepState.COMPLETED}
    dispatch = tuple(_dispatch(step, last.get(step.name), turn) for step in plan.steps if _due(step, last, done))
    adopted = plan if turn.plan is None else None
    if dispatch or any(not run.state.terminal for run in last.values()):
        return Advance(plan=adopted, dispatch=dispatch)
    if not done:
        return Advance(finish=Finish(state="failed", problem=Problem(type="steps-failed", detail="none completed")))
    answer = Answer(text="done", planner="none", outputs={name: last[name].output for name in sorted(done)})
    return Advance(finish=Finish(state="completed", answer=answer))


def _plan(text: str) -> Plan:
    try:
        made = [PlanStep.model_validate({"agent": "noop", "skill": "noop.echo", **step}) for step in json.loads(text)]
        return Plan(steps=tuple(step.model_copy(update={"agent": step.skill.split(".")[0]}) for step in made))
    except ValueError as error:
        raise InvalidPlan("the text is not a list of steps") from error


def _due(step: PlanStep, last: dict[str, StepRun], done: set[str]) -> bool:
    run = last.get(step.name)
    if run is None:
        return set(step.after) <= done
    retryable = run.problem is not None and run.problem.retryable
    return run.state is StepState.FAILED and retryable and run.attempt < ATTEMPTS


def _dispatch(step: PlanStep, run: StepRun | None, turn: Turn) -> Dispatch:
    file = turn.request.files[0].model_dump(mode="json") if turn.request.files else None
    return Dispatch(
        step=step.name,
        attempt=run.attempt + 1 if run else 1,
        agent=step.agent,
        skill=step.skill,
        input={name: file if value == "$file" else value for name, value in step.input.items()},
        deadline_s=step.deadline_s or 60.0,
        effects=Effects.EXTERNAL if step.title == "external" else Effects.NONE,
    )


def main() -> None:
    """Be the process."""
    from concilium.gateway.__main__ import serve
    from concilium.home import Home
    from concilium.logs import configure

    home = Home.find()
    configure(home.config.log, libraries=logging.INFO)
    serve(home, advance)


if __name__ == "__main__":
    main()
