"""What the language planner says to an engine: its rules as the system message, everything from outside as data.

Data travel as one JSON document in the user's message: nothing inside a JSON string can close it, so no text, file name
or output can pass for a rule. Long values are cut with a note; a plan refers to the whole.
"""

import json

from concilium.brain.prompts import prompt
from concilium.brain.schemas import SkillIndex, SkillSchemas
from concilium.brain.thoughts import Question, plan_name, plan_thought
from concilium.contracts import limits
from concilium.contracts.base import JSON
from concilium.contracts.errors import InvalidPlan
from concilium.contracts.plan import PlanStep
from concilium.contracts.states import StepState
from concilium.contracts.task import Request
from concilium.contracts.turn import StepRun, Turn
from concilium.engine import Message

TEXT_CHARS = 16_000
VALUE_CHARS = 4_000
REPLIES = 8
PROBLEMS = 20
PROBLEM_CHARS = 300


def plan_messages(turn: Turn, index: SkillIndex) -> list[Message]:
    """Return the conversation that asks for a plan."""
    skills = "\n".join(_skill(name, schemas) for name, schemas in sorted(index.skills.items()))
    rules = _filled("plan", steps_max=str(limits.PLAN_STEPS), depth_max=str(limits.PLAN_DEPTH), skills=skills)
    return [_system(rules), _data({"request": _request(turn.request), "dialogue": _dialogue(turn)})]


def reformulate_messages(turn: Turn, step: PlanStep, last: StepRun, schemas: SkillSchemas) -> list[Message]:
    """Return the conversation that asks for another input of a failed step."""
    done = {run.step: run for run in turn.runs if run.state is StepState.COMPLETED}
    problem = last.problem.model_dump(include={"type", "detail"}) if last.problem else {"type": str(last.state)}
    data = {
        "request": _request(turn.request),
        "step": {"name": step.name, "input": shown(step.input), "resolved_input": shown(last.input)},
        "failure": {name: shown(value) for name, value in problem.items()},
        "attempts": last.attempt,
        "completed_steps": {
            name: {"skill": run.skill, "output": shown(run.output)} for name, run in sorted(done.items())
        },
    }
    return [_system(_filled("reformulate", skill=_skill(step.skill, schemas))), _data(data)]


def repair_messages(before: list[Message], raw: str, error: InvalidPlan) -> list[Message]:
    """Return the conversation continued by an answer that cannot be used and what is wrong with it."""
    problems = "\n".join(f"- {problem}" for problem in problems_of(error))
    return [
        *before,
        {"role": "assistant", "content": cut(raw, TEXT_CHARS)},
        {"role": "user", "content": _filled("repair", problems=problems)},
    ]


def problems_of(error: InvalidPlan) -> tuple[str, ...]:
    """Return what is wrong with a plan, at most `PROBLEMS` short lines."""
    listed = error.extra.get("problems")
    problems = listed if isinstance(listed, list) else [error.detail]
    return tuple(" ".join(str(problem).split())[:PROBLEM_CHARS] for problem in problems[:PROBLEMS])


def cut(text: str, most: int) -> str:
    """Return the text, its middle replaced by a note when it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    head, tail = most * 3 // 4, most // 4
    return f"{text[:head]}\n[… {len(text) - head - tail} characters not shown …]\n{text[-tail:]}"


def shown(value: JSON) -> JSON:
    """Return a JSON value as it is when it is short, else its text cut."""
    text = value if isinstance(value, str) else _text(value)
    return value if len(text) <= VALUE_CHARS else cut(text, VALUE_CHARS)


def _request(request: Request) -> JSON:
    cut_note = {"text_is_cut": "refer to #/request/text for the whole"} if len(request.text) > TEXT_CHARS else {}
    files = [
        {"reference": f"#/request/files/{at}", "name": f.name, "media_type": f.media_type, "bytes": f.size}
        for at, f in enumerate(request.files)
    ]
    return {"text": cut(request.text, TEXT_CHARS), **cut_note, "files": files}


def _dialogue(turn: Turn) -> JSON:
    """Return what the caller was asked and answered, the newest `REPLIES`."""
    turns = []
    for at, reply in enumerate(turn.request.replies):
        earlier = turn.model_copy(update={"request": Request(replies=turn.request.replies[:at])})
        stored = turn.thoughts.get(plan_name(earlier))
        asked = plan_thought.validate_python(stored) if stored is not None else None
        question = {"asked": asked.text} if isinstance(asked, Question) else {}
        turns.append({**question, "answered": shown(reply)})
    return turns[-REPLIES:]


def _skill(name: str, schemas: SkillSchemas) -> str:
    described = {
        "skill": name,
        "description": schemas.skill.description,
        "input_schema": schemas.skill.input_schema,
        "output_schema": schemas.skill.output_schema,
    }
    return _text(described)


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


def _data(value: JSON) -> Message:
    return {"role": "user", "content": "Data, as one JSON document:\n" + _text(value)}


def _text(value: JSON) -> str:
    # What UTF-8 cannot hold (a lone surrogate in an agent's output) is shown as a question mark.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def _filled(name: str, /, **values: str) -> str:
    text = prompt(name)
    for place, value in values.items():
        text = text.replace("{" + place + "}", value)
    return text
