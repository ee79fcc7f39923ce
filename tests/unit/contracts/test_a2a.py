"""Our contracts survive A2A's wire and come back the same."""

import json
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from concilium.contracts.a2a import errors, events, reader, step
from concilium.contracts.a2a.card import agent_card, card_json
from concilium.contracts.a2a.parts import (
    artifact_from_wire,
    artifact_to_wire,
    data_part,
    file_part,
    file_ref,
    read_parts,
    text_part,
)
from concilium.contracts.a2a.values import from_value, state_from_wire, state_to_wire, to_value
from concilium.contracts.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    StaleLease,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from concilium.contracts.limits import MESSAGE_PARTS
from concilium.contracts.parts import Artifact, DataPart, FilePart, TextPart
from concilium.contracts.prices import EngineUse
from concilium.contracts.runner import Lease
from concilium.contracts.skill import AgentManifest, Effects, Skill
from concilium.contracts.states import TaskState
from concilium.contracts.task import DataClass, Priority, Problem

# The wire is UTF-8: lone surrogates cannot travel, nor be part of any JSON text.
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=20
)
objects = st.dictionaries(text, values, max_size=4)
names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=40)
files = st.builds(lambda name, data: (file_ref(name, "image/png", data), data), names, st.binary(max_size=200))
ids = st.from_regex(r"[a-z0-9_]{1,30}", fullmatch=True)


def over_the_wire(message: Any) -> Any:
    """Return a message after JSON, as the other side parses it."""
    return json_format.Parse(json_format.MessageToJson(message), type(message)())


@given(values)
def test_json_values_come_back_equal(value: Any) -> None:
    assert from_value(over_the_wire(to_value(value))) == value


@given(st.integers(-(2**53), 2**53))
def test_integers_come_back_as_integers(number: int) -> None:
    assert type(from_value(to_value(number))) is int


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), b"x", {1, 2}, 10**400, "\ud800", {"\ud800": 1}, {1: 2}])
def test_what_is_not_json_is_refused(bad: Any) -> None:
    with pytest.raises(Invalid):
        to_value({"a": [bad]})


def test_json_that_nests_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(Invalid):
        to_value(value)


@pytest.mark.parametrize("state", TaskState)
def test_states_come_back_the_same(state: TaskState) -> None:
    assert state_from_wire(state_to_wire(state)) is state


def test_an_unspecified_state_is_refused() -> None:
    with pytest.raises(Invalid):
        state_from_wire(pb.TASK_STATE_UNSPECIFIED)


@given(
    st.lists(st.builds(lambda t: TextPart(text=t), text) | st.builds(lambda d: DataPart(data=d), values), max_size=4),
    st.lists(files, max_size=3),
    names,
    text,
)
def test_artifacts_come_back_with_their_bytes(parts: list[Any], made: list[Any], name: str, description: str) -> None:
    inline = {ref.sha256: data for ref, data in made}
    artifact = Artifact(name=name, description=description, parts=(*parts, *(FilePart(file=ref) for ref, _ in made)))
    wire = over_the_wire(artifact_to_wire("a1", artifact, inline, lambda ref: f"http://mesh/{ref.sha256}"))
    assert artifact_from_wire(wire) == (artifact, inline)


def test_a_file_without_bytes_becomes_a_link_and_links_are_never_fetched() -> None:
    ref = file_ref("a.bin", "application/x", b"abc")
    artifact = Artifact(name="a", parts=(FilePart(file=ref),))
    wire = artifact_to_wire("a1", artifact, {}, lambda r: f"http://mesh/{r.sha256}")
    assert wire.parts[0].url == f"http://mesh/{ref.sha256}"
    with pytest.raises(Invalid, match="never fetched"):
        read_parts(wire.parts)


def test_bytes_that_do_not_match_their_hash_are_refused() -> None:
    part = file_part(file_ref("a", "text/plain", b"true"), b"false")
    with pytest.raises(Invalid, match="sha256"):
        read_parts([part])


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(TooLarge):
        read_parts([text_part("x")] * (MESSAGE_PARTS + 1))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\b", "a\x00b", "", "x" * 500])
def test_a_hostile_file_name_is_made_harmless(name: str) -> None:
    ref = file_ref(name, "", b"")
    assert "/" not in ref.name
    assert 1 <= len(ref.name) <= 255


leases = st.builds(
    Lease,
    task_id=ids,
    step=ids,
    attempt=st.integers(1, 9),
    fence=st.integers(0, 10**9),
    deadline_s=st.floats(0.01, 86400),
    agent=st.just("code"),
    skill=st.just("code.run"),
    effects=st.sampled_from(Effects),
    input=objects,
    context_id=ids,
    hops=st.integers(0, 8),
    priority=st.sampled_from(Priority),
    data_class=st.sampled_from(DataClass),
    traceparent=st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)


@given(leases, st.lists(files, max_size=3, unique_by=lambda file: file[0].sha256))
def test_a_lease_travels_as_a_message_with_its_terms(lease: Lease, came: list[Any]) -> None:
    lease = lease.model_copy(update={"files": tuple(ref for ref, _ in came)})
    sent = {ref.sha256: data for ref, data in came}
    body = step.to_json(step.step_request(lease, sent))
    message = json_format.Parse(body, pb.SendMessageRequest()).message
    assert step.read_terms(message) == step.terms_of(lease, lease.deadline_s)
    content = read_parts(message.parts)
    assert [step.skill_call(data) for data in content.data] == [(lease.skill, lease.input)]
    assert content.bytes_by_sha256 == sent
    assert message.context_id == lease.context_id


def test_a_lease_whose_file_is_missing_is_refused() -> None:
    ref = file_ref("a", "text/plain", b"a")
    with pytest.raises(Invalid, match="missing"):
        step.step_request(_lease().model_copy(update={"files": (ref,)}), {})


def _lease() -> Lease:
    return Lease(
        task_id="t",
        step="s",
        attempt=1,
        fence=1,
        deadline_s=5,
        agent="code",
        skill="code.run",
        effects=Effects.NONE,
        input={},
        context_id="c",
        hops=8,
        priority=Priority.NORMAL,
        data_class=DataClass.INTERNAL,
        traceparent="",
    )


@pytest.mark.parametrize(
    "terms",
    [
        {"run_id": "../x", "step_key": "a", "deadline_s": 5},
        {"run_id": "a", "step_key": "a", "deadline_s": -1},
        {"run_id": "a", "step_key": "a", "deadline_s": 5, "hops": 99},
        {"run_id": "a", "step_key": "a", "deadline_s": 5, "surprise": 1},
        "text",
        None,
    ],
)
def test_malformed_terms_are_refused(terms: Any) -> None:
    message = pb.Message()
    to_value(terms, message.metadata.fields[step.STEP_URI])
    with pytest.raises(Invalid, match="ext/step/v1"):
        step.read_terms(message)


def told(*said: Any) -> list[reader.StreamItem]:
    """Return what a caller understands of events after JSON."""
    answers = reader.StreamReader()
    items: list[reader.StreamItem] = []
    for event in said:
        response = pb.StreamResponse()
        name = {
            pb.Task: "task",
            pb.TaskStatusUpdateEvent: "status_update",
            pb.TaskArtifactUpdateEvent: "artifact_update",
            pb.Message: "message",
        }[type(event)]
        getattr(response, name).CopyFrom(event)
        items.extend(answers.feed(json_format.MessageToJson(response)))
    return items


@given(values, st.lists(files, max_size=3))
def test_a_streamed_result_comes_back_whole(output: Any, made: list[Any]) -> None:
    artifacts = events.result_artifacts(output, made)
    items = told(
        events.task("r", "c", events.status(TaskState.WORKING)),
        *(events.artifact_update("r", "c", artifact) for artifact in artifacts),
        events.state_update("r", "c", events.status(TaskState.COMPLETED)),
    )
    assert items == [reader.Started("r", TaskState.WORKING), reader.Final(TaskState.COMPLETED, output, tuple(made))]


@given(values, st.lists(files, max_size=3))
def test_a_stored_result_says_the_same_as_a_streamed_one(output: Any, made: list[Any]) -> None:
    task = events.task("r", "c", events.status(TaskState.COMPLETED), events.result_artifacts(output, made))
    assert told(task)[-1] == reader.Final(TaskState.COMPLETED, output, tuple(made))
    assert reader.read_task(json_format.MessageToJson(task)) == tuple(told(task))


@given(st.builds(Problem, type=ids, detail=text, retryable=st.booleans()))
def test_a_problem_comes_back_the_same(problem: Problem) -> None:
    [*_, final] = told(events.state_update("r", "c", events.status(TaskState.FAILED, message_id="m", problem=problem)))
    assert final == reader.Final(TaskState.FAILED, problem=problem)


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED, TaskState.INPUT_REQUIRED])
def test_how_long_a_run_took_is_told_in_the_stream_and_with_the_stored_result(state: TaskState) -> None:
    ended = events.task("r", "c", events.status(state), duration_s=20.25)
    for items in (told(ended), told(events.final_update(ended))):
        assert isinstance(items[-1], reader.Final)
        assert items[-1].duration_s == 20.25


def test_what_a_run_asked_of_engines_is_told_in_the_stream_and_with_the_stored_result() -> None:
    use = EngineUse(engine="vision_engine", input_tokens=1200, output_tokens=34, uncounted=1)
    ended = events.task("r", "c", events.status(TaskState.FAILED), used=(use,))
    for items in (told(ended), told(events.final_update(ended))):
        assert isinstance(items[-1], reader.Final)
        assert items[-1].used == (use,)


@pytest.mark.parametrize("said", [-1, "many", [{"engine": "other"}], [{"engine": "engine", "input_tokens": -5}], {}])
def test_a_use_of_engines_that_makes_no_sense_is_not_believed(said: Any) -> None:
    ended = events.task("r", "c", events.status(TaskState.COMPLETED))
    to_value(said, ended.metadata.fields[events.USED])
    assert told(ended)[-1] == reader.Final(TaskState.COMPLETED)


@pytest.mark.parametrize("said", [-1, "20", True, None, [], {}])
def test_a_duration_that_makes_no_sense_is_not_believed(said: Any) -> None:
    ended = events.task("r", "c", events.status(TaskState.COMPLETED))
    to_value(said, ended.metadata.fields[events.DURATION])
    assert told(ended)[-1] == reader.Final(TaskState.COMPLETED)


@given(st.none() | st.floats(0, 1), text)
def test_progress_comes_back_the_same(fraction: float | None, message: str) -> None:
    items = told(events.progress("r", "c", fraction, message, 3))
    if fraction is not None or message:
        assert items == [reader.Progress(fraction, message)]


def test_a_foreign_agents_text_answer_becomes_text_output() -> None:
    artifact = pb.Artifact(artifact_id="x", parts=[text_part("hello"), text_part("world")])
    items = told(
        events.artifact_update("r", "c", artifact), events.state_update("r", "c", events.status(TaskState.COMPLETED))
    )
    assert items == [reader.Final(TaskState.COMPLETED, {"text": "hello\n\nworld"})]
    assert told(pb.Message(parts=[text_part("hi")])) == [reader.Final(TaskState.COMPLETED, {"text": "hi"})]


def test_a_foreign_agents_chunks_are_joined() -> None:
    first = events.artifact_update("r", "c", pb.Artifact(artifact_id="output", parts=[text_part("a")]))
    second = events.artifact_update("r", "c", pb.Artifact(artifact_id="output", parts=[data_part({"n": 1})]))
    second.append = True
    done = events.state_update("r", "c", events.status(TaskState.COMPLETED))
    assert told(first, second, done) == [reader.Final(TaskState.COMPLETED, {"n": 1})]


def test_a_question_is_a_final_with_its_text() -> None:
    [final] = told(
        events.state_update("r", "c", events.status(TaskState.INPUT_REQUIRED, message_id="m", text="which?"))
    )
    assert final == reader.Final(TaskState.INPUT_REQUIRED, question="which?")


@pytest.mark.parametrize("data", ["", "{", "[]", "{}", '{"task":{"id":"a","status":{}}}', '{"task":5}'])
def test_an_answer_that_is_not_a2a_is_refused(data: str) -> None:
    with pytest.raises(Invalid):
        list(reader.StreamReader().feed(data))


@pytest.mark.parametrize(
    ("error", "status", "kind", "retryable"),
    [
        (StaleLease("x"), 409, "stale-fence", False),
        (Conflict("x"), 409, "conflict", False),
        (NotFound("x"), 404, "task-not-found", False),
        (Invalid("x"), 400, "invalid-params", False),
        (TooLarge("x"), 413, "too-large", False),
        (Unauthorized("x"), 401, "unauthenticated", False),
        (Forbidden("x"), 403, "permission-denied", False),
        (RateLimited("x"), 429, "rate-limited", True),
        (Unavailable("x"), 503, "unavailable", True),
    ],
)
def test_a_refusal_is_understood_on_the_other_side(error: Any, status: int, kind: str, retryable: bool) -> None:
    assert errors.refusal(error)[0] == status
    assert errors.read_error(*errors.refusal(error)) == Problem(type=kind, detail="x", retryable=retryable)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":5}', b'{"error":{"message":"x","details":5}}', b"null"]
)
def test_a_refusal_in_no_known_form_is_still_a_problem(body: bytes) -> None:
    assert errors.read_error(502, body).retryable


def test_a_card_says_how_to_reach_the_agent() -> None:
    skill = Skill(name="code.run", description="Runs.", input_schema={}, output_schema={}, examples=("run it",))
    card = card_json(agent_card(AgentManifest(name="code", description="Runs code.", skills=(skill,)), "http://h:1/"))
    assert [(i["url"], i["protocolVersion"]) for i in card["supportedInterfaces"]] == [
        ("http://h:1/a2a", "1.0"),
        ("http://h:1/a2a", "0.3"),
    ]
    assert card["url"] == "http://h:1/a2a"
    assert json.dumps(card)
