"""How the runner finds a foreign agent, what it shows it, and what it believes of its answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from a2a.types import a2a_pb2 as pb

from concilium.contracts.a2a.card import agent_card, card_json, interface_of, read_card
from concilium.contracts.a2a.step import STEP_URI, plain_request, step_request
from concilium.contracts.base import new_id
from concilium.contracts.errors import Invalid, Unavailable
from concilium.contracts.prices import EngineUse
from concilium.contracts.runner import Lease
from concilium.contracts.skill import AgentManifest, Effects
from concilium.contracts.task import DataClass, Priority
from concilium.home import Home
from concilium.runner.endpoints import credentials
from concilium.runner.outcome import Outcome, failed
from concilium.runner.promises import Promises


def manifest(module: str = "", **skill: Any) -> AgentManifest:
    said = {"name": "far.do", "description": "x", "input_schema": {}, "output_schema": {}, **skill}
    return AgentManifest.model_validate({"name": "far", "description": "x", "module": module, "skills": [said]})


def card(url: str, binding: str = "HTTP+JSON", version: str = "1.0") -> pb.AgentCard:
    offer = pb.AgentInterface(url=url, protocol_binding=binding, protocol_version=version)
    return pb.AgentCard(name="far", supported_interfaces=[offer])


def home(root: Path, **keys: str) -> Home:
    (root / "keys").mkdir()
    for name, text in keys.items():
        (root / "keys" / f"{name.replace('_', '-')}.key").write_text(text)
    return Home(root, {})


def lease() -> Lease:
    return Lease(
        task_id=new_id("tsk"),
        step="s",
        attempt=1,
        fence=3,
        deadline_s=9,
        agent="far",
        skill="far.do",
        effects=Effects.NONE,
        input={"text": "hello"},
        context_id="ctx",
        hops=4,
        priority=Priority.HIGH,
        data_class=DataClass.INTERNAL,
        traceparent="00-1",
    )


@pytest.mark.parametrize(
    ("offered", "called"),
    [
        ("http://far.example:9/rest", "http://far.example:9/rest"),
        ("http://far.example:9/rest/", "http://far.example:9/rest"),
        ("http://elsewhere.example/rest", "http://far.example:9/rest"),
        ("https://far.example:9", "http://far.example:9"),
        ("http://169.254.169.254/latest", "http://far.example:9/latest"),
    ],
)
def test_a_card_sends_nobody_to_another_host(offered: str, called: str) -> None:
    assert interface_of(card(offered), "http://far.example:9/").url == called


@pytest.mark.parametrize(("binding", "version"), [("JSONRPC", "1.0"), ("HTTP+JSON", "0.3")])
def test_an_agent_without_our_binding_is_refused_in_words(binding: str, version: str) -> None:
    with pytest.raises(Invalid, match="offers no HTTP"):
        interface_of(card("http://far.example", binding, version), "http://far.example")


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"supportedInterfaces": 5}', b'"x"', b'{"name": []}'])
def test_what_is_no_card_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="no A2A agent card"):
        read_card(body)


def test_our_own_card_declares_the_step_extension() -> None:
    found = read_card(orjson.dumps(card_json(agent_card(manifest("m"), "http://127.0.0.1:1"))))
    assert interface_of(found, "http://127.0.0.1:1").steps
    assert not interface_of(card("http://127.0.0.1:1"), "http://127.0.0.1:1").steps


def test_a_foreign_agent_learns_nothing_of_our_terms() -> None:
    plain, ours = plain_request(lease(), {}).message, step_request(lease(), {}).message
    assert STEP_URI in ours.metadata.fields
    assert not plain.metadata.fields
    assert not plain.extensions
    assert [part.WhichOneof("content") for part in plain.parts] == ["text", "data"]


def test_a_foreign_skill_has_outside_effects_unless_its_manifest_says_otherwise() -> None:
    assert manifest().skills[0].effects is Effects.EXTERNAL
    assert manifest(effects="idempotent").skills[0].effects is Effects.IDEMPOTENT
    assert manifest("our.module").skills[0].effects is Effects.NONE


def test_the_mesh_key_is_never_shown_to_a_foreign_agent(tmp_path: Path) -> None:
    assert credentials(home(tmp_path, mesh="secret"), manifest()) == {}


def test_an_own_agent_is_shown_the_mesh_key(tmp_path: Path) -> None:
    assert credentials(home(tmp_path, mesh="secret\n"), manifest("m")) == {"Authorization": "Bearer secret"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("token-1\n", {"Authorization": "Bearer token-1"}),
        ("X-API-Key: abc", {"X-API-Key": "abc"}),
        ("Authorization: Basic YTpi\n", {"Authorization": "Basic YTpi"}),
    ],
)
def test_an_agents_own_key_file_is_a_token_or_a_header(tmp_path: Path, text: str, shown: dict[str, str]) -> None:
    assert credentials(home(tmp_path, mesh="secret", agent_far=text), manifest()) == shown


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "X-Key: a\r\nX-Other: b", "ключ"])
def test_a_key_file_that_is_neither_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Invalid, match="one line"):
        credentials(home(tmp_path, agent_far=text), manifest())


def test_an_own_agent_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        credentials(home(tmp_path), manifest("m"))


def test_a_foreign_answer_that_breaks_its_skills_schema_is_a_failure() -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    promises = Promises([manifest(output_schema=schema)], ())
    good, bad = Outcome("completed", {"n": 1}), Outcome("completed", {"n": "1"})
    assert promises.judge("far.do", good) is good
    judged = promises.judge("far.do", bad)
    assert judged.problem is not None
    assert (judged.state, judged.problem.type) == ("failed", "output-invalid")
    assert promises.judge("near.do", bad) is bad


def test_an_own_agent_is_believed_at_home_alone() -> None:
    agents, lie = [manifest("m", output_schema={"type": "object"})], Outcome("completed", "a text")
    assert Promises(agents, ()).judge("far.do", lie) is lie
    judged = Promises(agents, {"far"}).judge("far.do", lie)
    assert judged.problem is not None
    assert judged.problem.type == "output-invalid"


def test_an_agent_may_tell_of_the_one_engine_its_manifest_names_and_of_no_other() -> None:
    skill = {"name": "eye.look", "description": "x", "input_schema": {}, "output_schema": {}}
    said = {"name": "eye", "description": "x", "module": "eye.skills", "engine": "vision_engine", "skills": [skill]}
    promises = Promises([AgentManifest.model_validate(said), manifest(output_schema={})], ())
    own, other = EngineUse(engine="vision_engine", input_tokens=5), EngineUse(engine="engine", input_tokens=9)
    told = replace(failed("skill-error", "no", retryable=True), used=(own, other))
    assert promises.judge("eye.look", told).used == (own,)
    assert promises.judge("eye.look", replace(told, used=(other,))).used == ()
    assert promises.judge("far.do", told).used == ()


def test_our_own_agent_on_a_rented_node_is_checked_like_a_stranger_and_its_engines_are_not_charged() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    ours = AgentManifest.model_validate(manifest("m", output_schema=schema).model_dump() | {"engine": "engine"})
    skill, asked = ours.skills[0].name, (EngineUse(engine="engine", input_tokens=10**9),)
    wrong = Outcome("completed", output={"text": 1}, used=asked)
    home_says, rented_says = Promises([ours]).judge(skill, wrong), Promises([ours], rented=True).judge(skill, wrong)
    assert (home_says.state, home_says.used) == ("completed", asked)
    assert rented_says.problem is not None
    assert (rented_says.problem.type, rented_says.used) == ("output-invalid", ())
    good = Promises([ours], rented=True).judge(skill, Outcome("completed", output={"text": "a"}, used=asked))
    assert (good.state, good.used) == ("completed", ())
