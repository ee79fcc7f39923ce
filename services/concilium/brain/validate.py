"""Plan validation: nothing is dispatched that did not pass here. Pure."""

from collections import Counter
from collections.abc import Iterator

from concilium.brain.references import BadReference, Reference, dependencies, is_reference, parse
from concilium.brain.schemas import Hole, SkillIndex, at_path
from concilium.contracts import limits
from concilium.contracts.base import JSON
from concilium.contracts.errors import InvalidPlan
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.skill import FILE_SCHEMA
from concilium.contracts.task import Request
from concilium.ledger.files import files_in


def validate_plan(plan: Plan, request: Request, index: SkillIndex) -> None:
    """Raise `InvalidPlan` listing every problem with its step; ``extra["problems"]`` holds them as a list."""
    problems = plan_problems(plan, request, index)
    if problems:
        raise InvalidPlan("; ".join(problems), problems=problems)


def plan_problems(plan: Plan, request: Request, index: SkillIndex) -> list[str]:
    """Return every problem of the plan, each starting with the step's name; empty when the plan can be carried out."""
    problems = list(_graph_problems(plan))
    for step in plan.steps:
        problems += [f"step '{step.name}': {problem}" for problem in _step_problems(step, plan, request, index)]
    return problems


def _graph_problems(plan: Plan) -> Iterator[str]:
    names = Counter(step.name for step in plan.steps)
    for name, count in names.items():
        if count > 1:
            yield f"step '{name}': the name is used {count} times"
    if len(plan.steps) > limits.PLAN_STEPS:
        yield f"the plan has {len(plan.steps)} steps; at most {limits.PLAN_STEPS} are allowed"
    levels = depths(plan)
    for step in plan.steps:
        for other in sorted(dependencies(step) - set(names)):
            yield f"step '{step.name}': refers to step '{other}', which does not exist"
        if step.name not in levels:
            yield f"step '{step.name}': waits for itself, directly or through other steps"
        elif levels[step.name] > limits.PLAN_DEPTH:
            yield f"step '{step.name}': is {levels[step.name]} steps deep; at most {limits.PLAN_DEPTH} are allowed"


def depths(plan: Plan) -> dict[str, int]:
    """Return the length of the longest chain ending in each step; steps on or behind a cycle are missing."""
    waiting = {step.name: dependencies(step) & {s.name for s in plan.steps} for step in plan.steps}
    found: dict[str, int] = {}
    progress = True
    while progress:
        progress = False
        for name, needs in waiting.items():
            if name not in found and needs <= found.keys():
                found[name] = 1 + max((found[n] for n in needs), default=0)
                progress = True
    return found


def _step_problems(step: PlanStep, plan: Plan, request: Request, index: SkillIndex) -> Iterator[str]:
    schemas = index.skills.get(step.skill)
    if schemas is None:
        yield f"no skill '{step.skill}'; known: {', '.join(sorted(index.skills)) or 'none'}"
        return
    if index.agent_of[step.skill] != step.agent:
        yield f"agent '{step.agent}' has no skill '{step.skill}'; it belongs to '{index.agent_of[step.skill]}'"
    if step.deadline_s is not None and step.deadline_s > schemas.skill.deadline_max_s:
        yield f"deadline {step.deadline_s:g} s is above the skill's maximum of {schemas.skill.deadline_max_s:g} s"
    if is_reference(step.input):
        yield "the input as a whole cannot be a reference; its members can"
        return
    if files_in(step.input):
        # Else a planner could name the hash of a file that belongs to somebody else.
        yield "a file is given by reference, never written out"
    problems: list[str] = []
    value = _with_holes(step.input, plan, request, index, problems)
    if step.when is not None:
        problems += _condition_problems(step.when, plan, request, index)
    yield from problems
    if not problems:
        yield from schemas.input_problems(value, holes=True)


def _condition_problems(when: dict[str, JSON], plan: Plan, request: Request, index: SkillIndex) -> list[str]:
    if not is_reference(when):
        return ["'when' must be a reference"]
    try:
        _promised(parse(when), plan, request, index)
    except BadReference as error:
        return [str(error)]
    return []


def _with_holes(value: JSON, plan: Plan, request: Request, index: SkillIndex, problems: list[str]) -> JSON:
    """Return the value with every reference replaced by a `Hole`; what does not resolve is added to ``problems``."""
    if is_reference(value):
        try:
            return Hole(_promised(parse(value), plan, request, index), value["$ref"])
        except BadReference as error:
            problems.append(str(error))
            return None
    if isinstance(value, dict):
        return {key: _with_holes(item, plan, request, index, problems) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_holes(item, plan, request, index, problems) for item in value]
    return value


def _promised(reference: Reference, plan: Plan, request: Request, index: SkillIndex) -> JSON:
    """Return the schema of what a reference will hold. Raises `BadReference`."""
    if reference.kind == "text":
        return {"type": "string"}
    if reference.kind == "file":
        if reference.index >= len(request.files):
            raise BadReference(f"#/request/files/{reference.index} does not exist; {len(request.files)} files came")
        return FILE_SCHEMA
    if reference.kind == "artifact":
        return FILE_SCHEMA
    source = next((step for step in plan.steps if step.name == reference.step), None)
    if source is None or source.skill not in index.skills:
        return {}
    root = index.skills[source.skill].output
    try:
        found = at_path(root, reference.path, root)
    except KeyError as error:
        raise BadReference(f"the output of step '{reference.step}' ({source.skill}) has no {error}") from error
    promised = {**found, "$defs": root["$defs"]} if isinstance(found, dict) else found
    return promised if source.when is None else {"anyOf": [promised, {"type": "null"}], "$defs": root["$defs"]}
