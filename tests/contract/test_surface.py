"""What every agent shows and refuses, whoever wrote it: the same tests for each, over HTTP."""

import json
from typing import Any

import aiohttp
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format

from concilium.contracts.a2a.card import CARD_PATH, read_card
from contract.caller import Caller
from contract.subjects import Subject

TOO_LARGE = 32 * 2**20 + 1


async def test_the_card_is_valid_and_names_the_skills_of_the_manifest(subject: Subject, caller: Caller) -> None:
    async with caller.session.get(subject.url + CARD_PATH) as answer:
        assert answer.status == 200
        body = await answer.read()
    card = read_card(body)
    assert (card.name, card.version) == (subject.manifest.name, subject.manifest.version)
    assert card.description
    assert {skill.id for skill in card.skills} == {skill.name for skill in subject.manifest.skills}
    assert all(skill.name and skill.description and skill.tags for skill in card.skills)
    assert card.capabilities.streaming
    assert card.default_input_modes
    assert card.default_output_modes
    assert card.security_requirements
    assert {scheme for need in card.security_requirements for scheme in need.schemes} <= set(card.security_schemes)


async def test_the_agent_was_warm_before_it_said_so(subject: Subject, caller: Caller) -> None:
    async with caller.session.get(subject.url + "/ready") as answer:
        said = await answer.json()
    assert said["ready"] is True
    assert said["warm_up_s"] >= 0, "the warm-up was not awaited"


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", "Basic YTpi"])
async def test_without_the_key_nothing_is_done(subject: Subject, caller: Caller, key: str) -> None:
    status, body = await caller.post(caller.request(subject.quick), Authorization=key)
    assert status == 401
    _check_error(body, 401)


async def test_a_body_beyond_32_mib_is_refused(caller: Caller) -> None:
    try:
        status, body = await caller.post(b" " * TOO_LARGE)
    except aiohttp.ClientError:
        return  # refused, and hung up before all was sent
    assert status == 413
    _check_error(body, 413)


GARBAGE = {
    "nothing": b"",
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "no object": b"[]",
    "no message": b"{}",
    "an empty message": b'{"message": {}}',
    "a message of the wrong type": b'{"message": 5}',
    "a part of the wrong type": b'{"message": {"messageId": "m", "role": "ROLE_USER", "parts": [7]}}',
    "too deep": b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"data":' + b"[" * 500 + b"]" * 500 + b"}]}}",
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_refused_with_a_clear_error(caller: Caller, kind: str) -> None:
    status, body = await caller.post(GARBAGE[kind])
    assert status == 400
    _check_error(body, 400)


async def test_an_unknown_skill_is_refused(subject: Subject, caller: Caller) -> None:
    request = caller.request(subject.quick)
    _call(request)["skill"] = f"{subject.manifest.name}.no_such_skill"
    status, body = await caller.post(request)
    assert status == 400
    _check_error(body, 400)


@pytest.mark.parametrize("spoilt", ["a text", 5, None, [], {"no-such-member": 1}])
async def test_an_input_that_does_not_fit_the_schema_is_refused(subject: Subject, caller: Caller, spoilt: Any) -> None:
    request = caller.request(subject.quick)
    _call(request)["input"] = spoilt
    status, body = await caller.post(request)
    assert status == 400
    _check_error(body, 400)


async def test_a_file_that_does_not_match_its_hash_is_refused(subject: Subject, caller: Caller) -> None:
    request = caller.request(subject.quick)
    false = {"raw": "aGk=", "filename": "a.txt", "mediaType": "text/plain", "metadata": {"sha256": "0" * 64}}
    request["message"]["parts"].append(false)
    status, body = await caller.post(request)
    assert status == 400
    _check_error(body, 400)


async def test_a_run_that_nobody_started_is_unknown(caller: Caller) -> None:
    assert not await caller.client.knows(caller.endpoint, "run_nobody_started")


async def test_a_blocking_request_is_answered_with_the_ended_task(subject: Subject, caller: Caller) -> None:
    status, body = await caller.post(caller.request(subject.quick))
    assert status == 200
    task = json_format.ParseDict(body, pb.SendMessageResponse()).task
    assert task.status.state == pb.TASK_STATE_COMPLETED
    assert next(artifact.name for artifact in task.artifacts) == "output"


def _call(request: dict[str, Any]) -> dict[str, Any]:
    """Return the data part of a request."""
    found: dict[str, Any] = next(part["data"] for part in request["message"]["parts"] if "data" in part)
    return found


def _check_error(body: dict[str, Any], status: int) -> None:
    """A2A's HTTP+JSON binding: the error of google.rpc with ErrorInfo."""
    error = body["error"]
    assert error["code"] == status
    assert error["status"]
    assert error["message"]
    assert any(detail.get("reason") for detail in error["details"])
    assert len(json.dumps(body)) < 5000
