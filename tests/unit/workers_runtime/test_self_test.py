"""How the cases of a self-test are made ready, and how their outcomes are judged."""

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.a2a.reader import Final
from concilium.contracts.errors import Invalid
from concilium.contracts.skill import AgentManifest, SelfTestCase
from concilium.contracts.states import TaskState
from concilium.contracts.task import Problem
from concilium.workers.runtime.self_test import judge, prepare

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def case(**members: Any) -> SelfTestCase:
    return SelfTestCase.model_validate({"skill": "toy.a", "input": {}, **members})


def manifest(*cases: dict[str, Any]) -> AgentManifest:
    skill = {"name": "toy.a", "description": "x", "input_schema": {}, "output_schema": SCHEMA}
    said = {"name": "toy", "description": "x", "module": "m", "skills": [skill], "self_test": list(cases)}
    return AgentManifest.model_validate(said)


def test_files_and_repeated_text_are_put_in(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    inline = {"name": "b.bin", "media_type": "x/y", "base64": base64.b64encode(b"\x00\xff").decode()}
    given = prepare(
        case(
            input={
                "image": {"$file": "a.png"},
                "more": [{"$file": inline}, {"$file": {"name": "c.txt", "text": "привет"}}],
                "text": {"$repeat": {"text": "ab", "times": 3}},
                "n": 1,
            }
        ),
        tmp_path,
    )
    assert given.data["text"] == "ababab"
    assert given.data["image"] == file_ref("a.png", "image/png", b"png").model_dump(mode="json")
    assert [ref.name for ref in given.refs] == ["a.png", "b.bin", "c.txt"]
    assert [given.files[ref.sha256] for ref in given.refs] == [b"png", b"\x00\xff", "привет".encode()]


@pytest.mark.parametrize(
    "value",
    [
        {"$file": "../secret"},
        {"$file": "/etc/hostname"},
        {"$file": "link"},
        {"$file": "none.png"},
        {"$file": 5},
        {"$file": {"text": "no name"}},
        {"$file": {"name": "a"}},
        {"$file": {"name": "a", "text": "x", "base64": "eA=="}},
        {"$file": {"name": "a", "base64": "!"}},
        {"$repeat": "x"},
        {"$repeat": {"text": "x", "times": 10**9}},
        {"$repeat": {"text": "x", "times": -1}},
    ],
)
def test_a_file_outside_the_agents_folder_or_a_malformed_place_is_refused(tmp_path: Path, value: Any) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(Invalid, match="self_test"):
        prepare(case(input={"a": value}), tmp_path / "agent")


GOOD = Final(TaskState.COMPLETED, {"n": 3}, ((file_ref("a.txt", "", b""), b""),))
FAILED = Final(TaskState.FAILED, problem=Problem(type="too-much", detail="it is too much"))


@pytest.mark.parametrize(
    ("members", "final", "wrong"),
    [
        ({}, GOOD, ""),
        ({"expect": {"properties": {"n": {"const": 3}}}, "files": ["a.txt"]}, GOOD, ""),
        ({"fails": "too-much"}, FAILED, ""),
        ({"expect": {"properties": {"n": {"const": 4}}}}, GOOD, "what the case expects"),
        ({"files": ["b.txt"]}, GOOD, "no file b.txt"),
        ({}, Final(TaskState.COMPLETED, {"m": 3}), "the skill's output schema"),
        ({}, FAILED, "ended as failed: too-much: it is too much"),
        ({"fails": "other"}, FAILED, "failed with too-much"),
        ({"fails": "other"}, GOOD, "not with the problem other"),
    ],
)
def test_an_outcome_is_judged_by_the_case(members: dict[str, Any], final: Final, wrong: str) -> None:
    found = judge(case(**members), manifest(), final)
    assert wrong in found
    assert bool(found) is bool(wrong)


def test_a_case_for_a_skill_the_agent_lacks_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"toy\.b"):
        manifest({"skill": "toy.b", "input": {}})


def test_callers_do_not_see_the_self_test() -> None:
    assert "self_test" not in manifest({"skill": "toy.a", "input": {}}).model_dump()
