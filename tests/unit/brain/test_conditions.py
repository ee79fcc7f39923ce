"""Steps with a condition: made when there is something to do, passed over when there is not."""

from typing import Any

import pytest

from concilium.brain import Brain
from concilium.brain.schemas import SkillIndex
from concilium.brain.validate import plan_problems
from concilium.contracts.plan import Plan
from concilium.contracts.skill import AgentManifest, Catalog
from concilium.contracts.task import Request
from support.story import Story, turn

TEXTS = {"type": ["array", "null"], "items": {"type": "string"}}


def skill(name: str, given: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"paper.{name}",
        "description": name,
        "input_schema": {"type": "object", "properties": given, "additionalProperties": False},
        "output_schema": {"type": "object", "properties": made, "additionalProperties": False},
    }


CATALOG = Catalog(
    agents={
        "paper": AgentManifest.model_validate(
            {
                "name": "paper",
                "description": "paper",
                "skills": [
                    skill("open", {}, {"blank": {"type": "array", "items": {"type": "string"}}}),
                    skill("look", {"pages": {"type": "array"}}, {"texts": {"type": "array"}}),
                    skill("bind", {"texts": TEXTS}, {"text": {"type": "string"}}),
                    skill("count", {"texts": {"type": "array"}}, {"text": {"type": "string"}}),
                ],
            }
        )
    }
)
INDEX = SkillIndex(CATALOG)
BRAIN = Brain(CATALOG, engine_configured=False)


def ref(pointer: str) -> dict[str, str]:
    return {"$ref": f"#/steps/{pointer}"}


def plan(last: str = "bind", when: Any = None) -> Plan:
    """Return: open the paper, look at its blank pages if there are any, bind it all."""
    steps = [
        {"name": "open", "skill": "paper.open"},
        {
            "name": "look",
            "skill": "paper.look",
            "input": {"pages": ref("open/output/blank")},
            "when": when or ref("open/output/blank"),
        },
        {"name": last, "skill": f"paper.{last}", "input": {"texts": ref("look/output/texts")}},
    ]
    return Plan.model_validate({"steps": [{"agent": "paper", **step} for step in steps]})


def told(**values: Any) -> Story:
    return Story(BRAIN, turn("x", (), plan=plan(**values)))


def test_a_step_whose_condition_holds_is_made_with_what_it_refers_to() -> None:
    story = told()
    assert [d.step for d in story.dispatched] == ["open"]
    story.end("open", output={"blank": ["p1"]})
    assert (story.dispatched[-1].step, story.dispatched[-1].input) == ("look", {"pages": ["p1"]})
    story.end("look", output={"texts": ["one"]})
    assert story.dispatched[-1].input == {"texts": ["one"]}


def test_a_step_without_anything_to_do_is_passed_over_and_what_refers_to_it_gets_null() -> None:
    story = told()
    story.end("open", output={"blank": []})
    assert (story.dispatched[-1].step, story.dispatched[-1].input) == ("bind", {"texts": None})
    story.end("bind", output={"text": "bound"})
    assert story.finish is not None
    assert story.finish.answer is not None
    assert (story.finish.state, story.finish.answer.text) == ("completed", "bound")
    assert [run.step for run in story.finish.answer.provenance] == ["open", "bind"]


def test_a_failed_step_is_not_mistaken_for_one_passed_over() -> None:
    story = told()
    story.end("open", output={"blank": ["p1"]})
    story.fail("look")
    assert story.finish is not None
    assert story.finish.answer is not None
    assert "'bind' (paper.bind) was not run because 'look' failed" in story.finish.answer.text


def test_a_condition_that_leads_nowhere_when_the_time_comes_does_not_hold() -> None:
    story = told()
    story.end("open", output={})
    assert story.dispatched[-1].input == {"texts": None}


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (plan(when={"$ref": "#/steps/open/output/nothing"}), "has no 'nothing'"),
        (plan(when={"$ref": "#/steps/absent/output/blank"}), "step 'absent', which does not exist"),
        (plan(when={"$ref": "#/steps/bind/output/text"}), "waits for itself"),
        (plan(when={"pages": 1}), "'when' must be a reference"),
    ],
)
def test_a_condition_that_cannot_be_judged_is_named(made: Plan, word: str) -> None:
    problems = plan_problems(made, Request(text="x"), INDEX)
    assert any(word in problem for problem in problems), problems


def test_a_plan_that_may_have_nothing_at_a_place_is_judged_by_what_can_come() -> None:
    assert plan_problems(plan(), Request(text="x"), INDEX) == []
