"""Plans, skills and leases refuse what does not fit."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from concilium.contracts.base import new_id
from concilium.contracts.errors import IllegalTransition, NotFound
from concilium.contracts.parts import FileRef
from concilium.contracts.plan import Plan, PlanStep
from concilium.contracts.runner import Completion, Held
from concilium.contracts.skill import AgentManifest, Catalog, Skill
from concilium.contracts.states import STEP_TRANSITIONS, TASK_TRANSITIONS, StepState, TaskState, check_step, check_task


def step(**fields: Any) -> PlanStep:
    return PlanStep.model_validate({"name": "read", "agent": "vision", "skill": "vision.ocr", **fields})


def skill(name: str) -> Skill:
    return Skill(name=name, description="x", input_schema={}, output_schema={})


def test_a_plan_has_one_to_thirty_two_steps() -> None:
    assert Plan(steps=(step(),)).step("read").skill == "vision.ocr"
    for count in (0, 33):
        with pytest.raises(ValidationError):
            Plan(steps=tuple(step(name=f"s{number}") for number in range(count)))


@pytest.mark.parametrize(
    "fields",
    [{"name": "Read"}, {"name": ""}, {"agent": "../x"}, {"skill": "ocr"}, {"deadline_s": 0}, {"surprise": 1}],
)
def test_a_malformed_step_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        step(**fields)


def test_an_unknown_step_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Plan(steps=(step(),)).step("other")


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3))
def test_a_plan_survives_its_json(data: dict[str, Any]) -> None:
    plan = Plan(steps=(step(input=data, after=("earlier",), deadline_s=3.5),))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_skill_belongs_to_its_agent() -> None:
    with pytest.raises(ValidationError, match="must start with"):
        AgentManifest(name="code", description="x", skills=(skill("vision.ocr"),))


def test_a_catalog_names_what_it_knows() -> None:
    catalog = Catalog(agents={"code": AgentManifest(name="code", description="x", skills=(skill("code.run"),))})
    assert catalog.skill("code.run").name == "code.run"
    assert catalog.agent("code").queue == "agent.code"
    for look in (
        lambda: catalog.skill("code.walk"),
        lambda: catalog.skill("dance.tango"),
        lambda: catalog.agent("tts"),
    ):
        with pytest.raises(NotFound, match="known: code"):
            look()


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\nb", "x" * 256])
def test_a_file_name_is_a_name_and_no_path(name: str) -> None:
    with pytest.raises(ValidationError):
        FileRef(sha256="0" * 64, name=name, size=0)


@given(st.binary(max_size=64))
def test_bytes_travel_as_base64(data: bytes) -> None:
    held = Held(task_id="t", step="s", attempt=1, fence=1)
    done = Completion(held=held, runner="r", node="n", state="completed", inline={"0" * 64: data}, duration_s=0)
    assert Completion.model_validate_json(done.model_dump_json()) == done


@pytest.mark.parametrize("state", TaskState)
def test_a_terminal_task_stays(state: TaskState) -> None:
    for other in TaskState:
        if other in TASK_TRANSITIONS[state]:
            check_task(state, other)
        else:
            with pytest.raises(IllegalTransition):
                check_task(state, other)
    assert state.terminal == (not TASK_TRANSITIONS[state])


@pytest.mark.parametrize("state", StepState)
def test_a_terminal_step_stays(state: StepState) -> None:
    for other in set(StepState) - STEP_TRANSITIONS[state]:
        with pytest.raises(IllegalTransition):
            check_step(state, other)


def test_ids_are_unique_and_sort_by_time() -> None:
    made = [new_id("tsk") for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [identity[:14] for identity in made] == sorted(identity[:14] for identity in made)
