"""A small fold for the ledger's tests: the request's text is the plan.

``"a"`` is one step; ``"a b>a c>b"`` is a chain; ``ask`` asks first; ``think`` waits for a thought; a name that starts
with ``bad`` is refused, with ``ext`` has external effects. Retryable failures are tried ``ATTEMPTS`` times.
"""

from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState
from concilium.contracts.task import Answer, Problem, StageEvent
from concilium.contracts.turn import Advance, Dispatch, Finish, Refuse, StepRun, Turn

ATTEMPTS = 3
AGENT, SKILL = "echo", "echo.say"


def advance(turn: Turn) -> Advance:
    """Decide what comes next."""
    words = turn.request.text.split()
    if words[0] == "ask" and not turn.request.replies:
        return Advance(ask="which one?")
    if words[0] == "think" and "plan" not in turn.thoughts:
        return Advance(think="plan")
    plan = turn.plan or _plan([word for word in words if word not in {"ask", "think"}])
    adopted = turn.plan is None
    stages = (StageEvent(stage="plan", output=plan.model_dump(mode="json")),) if adopted else ()
    decision = _next(turn, plan)
    return decision.model_copy(update={"plan": plan if adopted else None, "stages": stages})


def _plan(words: list[str]) -> Plan:
    steps = []
    for word in words:
        name, _, after = word.partition(">")
        agent = name.split("_", 1)[0] if "_" in name else AGENT
        steps.append(
            PlanStep(name=name, agent=agent, skill=f"{agent}.say", after=tuple(filter(None, after.split(","))))
        )
    return Plan(steps=tuple(steps))


def _next(turn: Turn, plan: Plan) -> Advance:
    last: dict[str, StepRun] = {run.step: run for run in turn.runs}
    done = {name for name, run in last.items() if run.state is StepState.COMPLETED}
    dispatch, refuse = [], []
    for step in plan.steps:
        run = last.get(step.name)
        again = run is not None and run.state is StepState.FAILED and _retry(run)
        if (run is None and set(step.after) <= done) or again:
            attempt = run.attempt + 1 if run else 1
            if step.name.startswith("bad"):
                problem = Problem(type="invalid", detail="does not fit")
                refuse.append(
                    Refuse(step=step.name, attempt=attempt, agent=step.agent, skill=step.skill, problem=problem)
                )
            else:
                dispatch.append(_order(turn, step, attempt))
    if dispatch or refuse:
        return Advance(dispatch=tuple(dispatch), refuse=tuple(refuse))
    if any(not run.state.terminal for run in last.values()):
        return Advance()
    state = "completed" if done else "failed"
    problem = None if done else Problem(type="steps-failed", detail="no step completed")
    answer = Answer(text="done", planner="none", outputs={name: last[name].output for name in sorted(done)})
    return Advance(finish=Finish(state=state, answer=answer, problem=problem))


def _retry(run: StepRun) -> bool:
    return run.problem is not None and run.problem.retryable and run.attempt < ATTEMPTS


def _order(turn: Turn, step: PlanStep, attempt: int) -> Dispatch:
    return Dispatch(
        step=step.name,
        attempt=attempt,
        agent=step.agent,
        skill=step.skill,
        input={"files": [file.model_dump(mode="json") for file in turn.request.files]},
        deadline_s=30.0,
        effects=Effects.EXTERNAL if step.name.startswith("ext") else Effects.NONE,
    )
