"""Which skill a message asks for, and what a manifest and its module must agree on."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from concilium.contracts.a2a.parts import data_part, file_part, file_ref, read_parts, text_part
from concilium.contracts.errors import Invalid
from concilium.contracts.skill import AgentManifest
from concilium.workers.runtime.skillset import SkillSet, load_skills

FILE = {"$ref": "#/$defs/File"}


async def function(_ctx: Any, _data: Any) -> Any:
    """Do nothing."""


def skills_of(monkeypatch: pytest.MonkeyPatch, functions: dict[str, Any], **schemas: dict[str, Any]) -> SkillSet:
    """Return the skills of an agent 'toy' whose input schemas are given by skill."""
    module = ModuleType("toy_skills")
    vars(module)["skills"] = functions
    monkeypatch.setitem(sys.modules, "toy_skills", module)
    skills = [
        {"name": f"toy.{name}", "description": "x", "input_schema": schema, "output_schema": {}}
        for name, schema in schemas.items()
    ]
    manifest = {"name": "toy", "description": "x", "module": "toy_skills", "skills": skills}
    return load_skills(AgentManifest.model_validate(manifest), Path())


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def test_a_data_part_names_the_skill_and_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    skills = skills_of(monkeypatch, {"toy.a": function, "toy.b": function}, a=schema(), b=schema())
    runnable, data = skills.choose(read_parts([text_part("x"), data_part({"skill": "toy.b", "input": {"n": 1}})]))
    assert (runnable.skill.name, data) == ("toy.b", {"n": 1})


def test_the_only_skill_takes_text_and_file_for_its_only_places(monkeypatch: pytest.MonkeyPatch) -> None:
    skills = skills_of(monkeypatch, {"toy.a": function}, a=schema(text={"type": "string"}, image=FILE))
    ref = file_ref("a.png", "image/png", b"png")
    content = read_parts([text_part("look"), file_part(ref, b"png")])
    runnable, data = skills.choose(content)
    assert data == {"text": "look", "image": ref.model_dump(mode="json")}
    runnable.check_input(data, content.bytes_by_sha256)
    with pytest.raises(Invalid, match="did not come"):
        runnable.check_input(data, {})


@pytest.mark.parametrize(
    "properties", [{}, {"n": {"type": "integer"}}, {"a": {"type": "string"}, "b": {"type": "string"}}]
)
def test_text_without_one_clear_place_is_refused(monkeypatch: pytest.MonkeyPatch, properties: dict[str, Any]) -> None:
    skills = skills_of(monkeypatch, {"toy.a": function}, a=schema(**properties))
    with pytest.raises(Invalid, match="what the text is for"):
        skills.choose(read_parts([text_part("x")]))


def test_a_message_for_two_skills_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    skills = skills_of(monkeypatch, {"toy.a": function}, a=schema())
    call = data_part({"skill": "toy.a", "input": {}})
    with pytest.raises(Invalid, match="one skill"):
        skills.choose(read_parts([call, call]))


def test_a_skill_without_a_function_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match=r"toy\.b"):
        skills_of(monkeypatch, {"toy.a": function}, a=schema(), b=schema())


def test_a_schema_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match="not a JSON schema"):
        skills_of(monkeypatch, {"toy.a": function}, a={"type": "cheese"})


def test_an_agent_that_runs_elsewhere_is_refused() -> None:
    with pytest.raises(Invalid, match="elsewhere"):
        load_skills(AgentManifest(name="toy", description="x", skills=()), Path())
