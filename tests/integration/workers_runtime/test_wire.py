"""What a service refuses, what a plain A2A client gets, and the routes beside A2A."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import Client
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError

from concilium.contracts.a2a.parts import data_part, read_parts, text_part
from concilium.contracts.a2a.step import STEP_URI
from support.agents import KEY, Agent, Peer, Refused, file_of, headers, lease


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=20) as client:
        yield client


async def client_of(agent: Agent, http: httpx.AsyncClient, *, version: str = "1.0", streaming: bool = True) -> Client:
    card = await A2ACardResolver(http, agent.url).get_agent_card()
    kept = [interface for interface in card.supported_interfaces if interface.protocol_version == version]
    del card.supported_interfaces[:]
    card.supported_interfaces.extend(kept)
    config = ClientConfig(httpx_client=http, streaming=streaming, supported_protocol_bindings=["HTTP+JSON"])
    return ClientFactory(config).create(card)


def ask(*parts: pb.Part) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(message=pb.Message(message_id="m1", role=pb.ROLE_USER, parts=parts))


async def test_a_plain_client_sends_text_to_an_agent_with_one_skill(noop: Agent, http: httpx.AsyncClient) -> None:
    client = await client_of(noop, http)
    events = [event async for event in client.send_message(ask(text_part("just text")))]
    assert events[0].WhichOneof("payload") == "task"
    artifact = next(event.artifact_update.artifact for event in events if event.HasField("artifact_update"))
    assert read_parts(artifact.parts).data == ({"text": "just text"},)
    assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED


async def test_a_plain_client_gets_lists_and_misses_tasks(noop: Agent, http: httpx.AsyncClient) -> None:
    client = await client_of(noop, http, streaming=False)
    [event] = [event async for event in client.send_message(ask(data_part({"text": "blocking"})))]
    assert event.task.status.state == pb.TASK_STATE_COMPLETED
    task = await client.get_task(pb.GetTaskRequest(id=event.task.id))
    assert task == event.task
    page = await client.list_tasks(pb.ListTasksRequest(page_size=1, include_artifacts=True))
    assert [listed.id for listed in page.tasks] == [task.id]
    with pytest.raises(TaskNotFoundError):
        await client.get_task(pb.GetTaskRequest(id="run_unknown"))


async def test_a_plain_client_subscribes_and_cancels(noop: Agent, http: httpx.AsyncClient) -> None:
    client = await client_of(noop, http)
    request = ask(data_part({"skill": "noop.echo", "input": {"text": "x", "sleep_s": 30}}))
    sent = client.send_message(request)
    task = (await anext(sent)).task
    subscribed = client.subscribe(pb.SubscribeToTaskRequest(id=task.id))
    assert (await anext(subscribed)).task.id == task.id
    assert (await client.cancel_task(pb.CancelTaskRequest(id=task.id))).status.state == pb.TASK_STATE_CANCELED
    states = [event.status_update.status.state async for event in subscribed if event.HasField("status_update")]
    assert states[-1] == pb.TASK_STATE_CANCELED
    await sent.aclose()


async def test_a_0_3_client_is_served(noop: Agent, http: httpx.AsyncClient) -> None:
    client = await client_of(noop, http, version="0.3")
    events = [event async for event in client.send_message(ask(text_part("old words")))]
    artifact = next(event.artifact_update.artifact for event in events if event.HasField("artifact_update"))
    assert read_parts(artifact.parts).data == ({"text": "old words"},)
    assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED


async def test_the_card_declares_skills_key_and_extension(probe: Agent, http: httpx.AsyncClient) -> None:
    card = (await http.get(probe.url + "/.well-known/agent-card.json", headers={"Authorization": ""})).json()
    assert {skill["id"] for skill in card["skills"]} >= {"probe.wait", "probe.reverse"}
    assert [i["url"] for i in card["supportedInterfaces"]] == [probe.url + "/a2a"] * 2
    assert card["capabilities"]["extensions"][0]["uri"] == STEP_URI
    assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "Bearer"


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x"])
@pytest.mark.parametrize("path", ["/a2a/message:stream", "/a2a/v1/message:send", "/x/a2a/message:send"])
async def test_a_wrong_key_is_refused_everywhere(
    noop: Agent, http: httpx.AsyncClient, authorization: str, path: str
) -> None:
    answer = await http.post(noop.url + path, content=b"{}", headers={**headers(), "Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["error"]["details"][0]["reason"] == "UNAUTHENTICATED"


async def test_metrics_need_the_key_and_count_runs(noop: Agent, peer: Peer, http: httpx.AsyncClient) -> None:
    assert (await http.get(noop.url + "/metrics", headers={"Authorization": ""})).status_code == 401
    await peer.run(noop, lease(noop, "noop.echo", {"text": "counted"}))
    text = (await http.get(noop.url + "/metrics")).text
    assert 'concilium_agent_runs_total{outcome="completed",skill="noop.echo"}' in text


async def test_health_needs_no_key(noop: Agent, http: httpx.AsyncClient) -> None:
    for path in ("/health", "/ready"):
        assert (await http.get(noop.url + path, headers={"Authorization": ""})).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_beyond_the_limit_is_refused(noop: Agent, http: httpx.AsyncClient, chunked: bool) -> None:
    body = b"x" * (32 * 1024 * 1024 + 1)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    content: Any = pieces() if chunked else body
    try:
        answer = await http.post(noop.url + "/a2a/message:send", content=content, headers=headers())
    except (httpx.WriteError, httpx.ReadError):
        return  # refused and hung up before all was sent
    assert answer.status_code == 413
    assert answer.json()["error"]["details"][0]["reason"] == "TOO_LARGE"


BAD_MESSAGES: dict[str, tuple[Any, int, str]] = {
    "not JSON": (b"{", 400, "INVALID_REQUEST"),
    "no message": ({}, 400, "INVALID_PARAMS"),
    "deep": (
        b'{"message":{"messageId":"m","parts":[{"data":' + b"[" * 500 + b"]" * 500 + b"}]}}",
        400,
        "INVALID_REQUEST",
    ),
    "a lone surrogate": (
        b'{"message":{"messageId":"m","parts":[{"data":{"skill":"noop.echo","input":{"text":"\\ud800"}}}]}}',
        400,
        "INVALID_REQUEST",
    ),
    "too many parts": ([{"text": "x"}] * 65, 413, "TOO_LARGE"),
    "a link": ([{"url": "http://169.254.169.254/latest"}], 400, "INVALID_PARAMS"),
    "unknown skill": ([{"data": {"skill": "noop.none", "input": {}}}], 400, "INVALID_PARAMS"),
    "bad input": ([{"data": {"skill": "noop.echo", "input": {"text": 5}}}], 400, "INVALID_PARAMS"),
    "false hash": (
        [{"raw": "aGk=", "filename": "a", "metadata": {"sha256": "0" * 64}}],
        400,
        "INVALID_PARAMS",
    ),
}


@pytest.mark.parametrize("case", BAD_MESSAGES)
async def test_a_bad_message_is_refused_with_its_reason(noop: Agent, http: httpx.AsyncClient, case: str) -> None:
    content, status, reason = BAD_MESSAGES[case]
    if isinstance(content, list):
        content = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": content}}
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = await http.post(noop.url + "/a2a/message:send", content=body, headers=headers())
    assert (answer.status_code, answer.json()["error"]["details"][0]["reason"]) == (status, reason)


async def test_bad_terms_are_refused(noop: Agent, peer: Peer) -> None:
    terms = {"run_id": "../../etc", "step_key": "a", "deadline_s": 5}
    message = {"messageId": "m", "parts": [{"text": "x"}], "metadata": {STEP_URI: terms}}
    with pytest.raises(Refused) as refused:
        async for _ in peer.post(noop, json.dumps({"message": message}).encode()):
            pass
    assert refused.value.problem.type == "invalid-params"


async def test_a_file_the_input_mentions_must_come_along(probe: Agent, peer: Peer) -> None:
    with pytest.raises(Refused) as refused:
        await peer.run(probe, lease(probe, "probe.reverse", {"file": file_of(b"absent")}))
    assert "did not come" in refused.value.problem.detail


async def test_a_message_that_fits_no_skill_says_how_to_ask(probe: Agent, http: httpx.AsyncClient) -> None:
    client = await client_of(probe, http)
    with pytest.raises(InvalidParamsError, match=r"which skill\?.*known: probe\.result"):
        async for _ in client.send_message(ask(text_part("do something"))):
            pass
