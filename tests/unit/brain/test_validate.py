"""Plan validation: every way a plan can be wrong is found and named with its step."""

from typing import Any

import pytest

from concilium.brain.schemas import SkillIndex
from concilium.brain.validate import validate_plan
from concilium.contracts.errors import InvalidPlan
from concilium.contracts.plan import Plan
from concilium.contracts.task import Request
from support.story import PNG, shipped_catalog

INDEX = SkillIndex(shipped_catalog())
REQUEST = Request(text="hello", files=(PNG,))
FILE = {"$ref": "#/request/files/0"}


def step(name: str, skill: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "agent": skill.partition(".")[0], "skill": skill, "input": data} | more


READ = step("read", "vision.ocr", {"image": FILE})
SPEAK = step("speak", "tts.speak", {"text": {"$ref": "#/steps/read/output/text"}})


def problems(*steps: dict[str, Any]) -> list[str]:
    try:
        validate_plan(Plan.model_validate({"steps": steps}), REQUEST, INDEX)
    except InvalidPlan as error:
        found = error.extra["problems"]
        assert isinstance(found, list)
        return found
    return []


def test_a_good_plan_passes() -> None:
    run = step("run", "code.run", {"language": "python", "source": "x", "stdin": {"$ref": "#/steps/read/output/text"}})
    assert problems(SPEAK, READ, run, step("say", "tts.speak", {"text": {"$ref": "#/request/text"}})) == []


def test_artifacts_and_nested_outputs_may_be_referred_to() -> None:
    again = step("again", "vision.ocr", {"image": {"$ref": "#/steps/speak/artifacts/0"}})
    line = step("line", "tts.speak", {"text": {"$ref": "#/steps/read/output/lines/0/text"}})
    assert problems(READ, SPEAK, again, line) == []


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([step("a", "code.fly", {})], "step 'a': no skill 'code.fly'"),
        ([READ | {"agent": "tts"}], "agent 'tts' has no skill 'vision.ocr'; it belongs to 'vision'"),
        ([step("a", "tts.speak", {})], "'text' is a required property"),
        ([step("a", "tts.speak", {"text": 7})], "$.text: 7 is not of type 'string'"),
        ([step("a", "tts.speak", {"text": "x", "loud": True})], "'loud' was unexpected"),
        ([step("a", "tts.speak", {"text": FILE})], "#/request/files/0 is object, not string"),
        ([step("a", "vision.ocr", {"image": {"$ref": "#/request/text"}})], "#/request/text is string, not object"),
        ([step("a", "vision.ocr", {"image": {"$ref": "#/request/files/1"}})], "1 files came"),
        ([READ, step("a", "tts.speak", {"text": {"$ref": "#/steps/read/output/letters"}})], "has no 'letters'"),
        ([READ, step("a", "tts.speak", {"text": {"$ref": "#/steps/read/output/width"}})], "is integer, not string"),
        ([step("a", "tts.speak", {"text": {"$ref": "#/steps/b/output/text"}})], "step 'b', which does not exist"),
        ([step("a", "tts.speak", {"text": {"$ref": "#/nowhere"}})], "refers to nothing"),
        ([step("a", "tts.speak", {"text": {"$ref": 7}})], "must be a string"),
        ([step("a", "tts.speak", {"$ref": "#/request/text"})], "the input as a whole cannot be a reference"),
        ([step("a", "vision.ocr", {"image": {"$ref": "#/request/files/99999999999"}})], "whole number"),
        ([READ, READ], "the name is used 2 times"),
        ([step("a", "tts.speak", {"text": "x"}, after=["a"])], "step 'a': waits for itself"),
        (
            [step("a", "tts.speak", {"text": "x"}, after=["b"]), step("b", "tts.speak", {"text": "x"}, after=["a"])],
            "step 'b': waits for itself, directly or through other steps",
        ),
        ([step("a", "tts.speak", {"text": "x"}, deadline_s=1e9)], "above the skill's maximum"),
        ([step("a", "vision.ocr", {"image": PNG.model_dump()})], "a file is given by reference"),
        ([step("a", "code.run", {"source": "x", "script": FILE})], "valid under each of"),
        (
            [step(f"s{i}", "tts.speak", {"text": "x"}, after=[f"s{i - 1}"] if i else []) for i in range(9)],
            "step 's8': is 9 steps deep; at most 8",
        ),
    ],
)  # fmt: skip
def test_a_bad_plan_is_refused_with_the_step_and_the_reason(steps: list[dict[str, Any]], word: str) -> None:
    assert any(word in problem for problem in problems(*steps)), problems(*steps)


def test_every_problem_is_listed() -> None:
    found = problems(step("a", "tts.speak", {}), step("b", "code.fly", {}), step("c", "tts.speak", {"text": 1}))
    assert [problem.split(":")[0] for problem in found] == ["step 'a'", "step 'b'", "step 'c'"]
