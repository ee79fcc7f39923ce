"""Stage plan: a turn without a plan gets one, or a question, or a thought for the engine, or an end."""

from concilium.brain.admit import Admitted
from concilium.brain.router import Asked, Routed, SkillRouter
from concilium.brain.schemas import SkillIndex
from concilium.brain.thoughts import (
    EngineDown,
    NoValidPlan,
    PlanFound,
    Question,
    Refusal,
    plan_name,
    plan_thought,
)
from concilium.brain.validate import plan_problems
from concilium.brain.words import say
from concilium.contracts.plan import Plan
from concilium.contracts.task import Problem, StageEvent
from concilium.contracts.turn import Advance, Finish, Turn


def plan_turn(turn: Turn, admitted: Admitted, router: SkillRouter, index: SkillIndex, *, engine: bool) -> Advance:
    """Return the decision for a turn without a plan; the caller adds the first dispatches to an adopted plan."""
    thought = turn.thoughts.get(plan_name(turn))
    if thought is not None:
        return _from_thought(turn, thought, admitted, router, index)
    routed = router.route(admitted)
    if isinstance(routed, Routed):
        return _by_router(turn, routed, index)
    if engine:
        return Advance(think=plan_name(turn), stages=(_route_event(routed),))
    return Advance(ask=routed.question, stages=(_route_event(routed),))


def _by_router(turn: Turn, routed: Routed, index: SkillIndex) -> Advance:
    problems = plan_problems(routed.plan, turn.request, index)
    if problems:
        # A rule of the router does not fit this catalog's schemas: asking is honest, dispatching is not.
        return Advance(ask=routed.question, stages=(StageEvent(stage="route", output={"invalid": problems}),))
    return Advance(
        plan=routed.plan,
        planner="skill-router",
        stages=(
            StageEvent(stage="route", output={"decision": "plan", "clauses": list(routed.clauses)}),
            _plan_event(routed.plan, "skill-router"),
        ),
    )


def _from_thought(turn: Turn, value: object, admitted: Admitted, router: SkillRouter, index: SkillIndex) -> Advance:
    thought = plan_thought.validate_python(value)
    if isinstance(thought, PlanFound):
        # Judged again: the catalog may have changed since the thought was stored.
        problems = plan_problems(thought.plan, turn.request, index)
        if not problems:
            event = _plan_event(thought.plan, "language", thought.mode)
            return Advance(plan=thought.plan, planner="language", stages=(event,))
        thought = NoValidPlan(problems=tuple(problems))
    if isinstance(thought, Question):
        return Advance(ask=thought.text, planner="language", stages=(_decided("question"),))
    if isinstance(thought, EngineDown):
        return _without_engine(turn, thought, admitted, router, index)
    if isinstance(thought, Refusal):
        return reject("refused", say("rejected", admitted.language, reason=thought.reason))
    return reject("invalid-plan", say("bad_plan", admitted.language, reason="; ".join(thought.problems)))


def _without_engine(
    turn: Turn, down: EngineDown, admitted: Admitted, router: SkillRouter, index: SkillIndex
) -> Advance:
    note = say("engine_down", admitted.language, reason=down.reason)
    routed = router.route(admitted)
    decision = _by_router(turn, routed, index) if isinstance(routed, Routed) else Advance(ask=routed.question)
    event = StageEvent(stage="plan", output={"decision": "engine-unavailable", "reason": down.reason})
    return decision.model_copy(update={"notes": (note,), "stages": (event, *decision.stages)})


def reject(kind: str, detail: str) -> Advance:
    """Return the end of a turn that is not begun."""
    return Advance(
        stages=(_decided(kind, detail),), finish=Finish(state="rejected", problem=Problem(type=kind, detail=detail))
    )


def _route_event(asked: Asked) -> StageEvent:
    return StageEvent(stage="route", output={"decision": "unsure", "reason": asked.reason, "question": asked.question})


def _plan_event(plan: Plan, planner: str, mode: str = "") -> StageEvent:
    output = {"planner": planner, "plan": plan.model_dump(mode="json")}
    return StageEvent(stage="plan", output=output | ({"mode": mode} if mode else {}))


def _decided(decision: str, detail: str = "") -> StageEvent:
    return StageEvent(stage="plan", output={"decision": decision} | ({"detail": detail} if detail else {}))
