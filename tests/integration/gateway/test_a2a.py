"""The brain as real A2A clients see it."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import Client as A2AClient
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from concilium.contracts.a2a.parts import file_part, file_ref, read_parts, text_part
from concilium.contracts.a2a.step import STEP_URI, StepTerms, put_terms
from concilium.contracts.runner import Lease
from support.control_plane import Client

_number = itertools.count(1)


@asynccontextmanager
async def a2a(user: Client, *, version: str = "1.0", streaming: bool = True) -> AsyncIterator[A2AClient]:
    """Return the SDK's client, made from the card."""
    async with httpx.AsyncClient(headers=user.auth, timeout=30) as http:
        card = await A2ACardResolver(http, user.plane.url).get_agent_card()
        kept = [interface for interface in card.supported_interfaces if interface.protocol_version == version]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        config = ClientConfig(httpx_client=http, streaming=streaming, supported_protocol_bindings=["HTTP+JSON"])
        yield ClientFactory(config).create(card)


def message(*parts: pb.Part, **fields: Any) -> pb.SendMessageRequest:
    said = pb.Message(message_id=f"m{next(_number)}", role=pb.ROLE_USER, parts=parts)
    request = pb.SendMessageRequest(message=said)
    for name, value in fields.items():
        setattr(request.message, name, value)
    return request


async def sent(client: A2AClient, request: pb.SendMessageRequest) -> pb.Task:
    """Send without waiting; return the task."""
    request.configuration.return_immediately = True
    [event] = [event async for event in client.send_message(request)]
    return event.task


async def claimed(runner: Client, task_id: str) -> Lease:
    """Claim steps until the one of this task is held; the mesh is shared by the tests of the module."""
    while True:
        for lease in await runner.claim():
            if lease.task_id == task_id:
                return lease
        await asyncio.sleep(0)


async def test_a_message_becomes_a_task_and_its_answer_streams_back(user: Client, runner: Client) -> None:
    async with a2a(user) as client:
        stream = client.send_message(message(text_part("a")))
        task = (await anext(stream)).task
        lease = await claimed(runner, task.id)
        wav = b"RIFF....WAVE"
        ref = file_ref("речь.wav", "audio/wav", wav)
        artifact = {"name": ref.name, "parts": [{"kind": "file", "file": ref}]}
        await runner.complete(lease, output={"n": 1}, artifacts=[artifact], inline={ref.sha256: wav})
        events = [event async for event in stream]
    assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
    artifacts = {
        e.artifact_update.artifact.name: e.artifact_update.artifact for e in events if e.artifact_update.artifact.name
    }
    answer = read_parts(artifacts["answer"].parts)
    assert answer.text == "done"
    assert answer.data[0]["outputs"] == {"a": {"n": 1}}
    assert read_parts(artifacts["речь.wav"].parts).files == ((ref, wav),)
    texts = [e.status_update.status.message.parts[0].text for e in events if e.status_update.status.message.parts]
    assert "a: echo echo.say working" in texts


async def test_a_blocking_send_waits_for_the_answer(user: Client, runner: Client) -> None:
    async with a2a(user, streaming=False) as client:
        request = message(text_part("a"), context_id="blocking")
        stream = client.send_message(request)
        waiting = asyncio.ensure_future(anext(stream))
        page: list[Any] = []
        while not page:
            page = (await client.list_tasks(pb.ListTasksRequest(context_id="blocking"))).tasks
        await runner.complete(await claimed(runner, page[0].id), output={})
        event = await waiting
    assert event.task.status.state == pb.TASK_STATE_COMPLETED
    assert event.task.history[0].parts[0].text == "a"


async def test_files_become_blobs_of_the_request(user: Client) -> None:
    data = b"print(1)"
    ref = file_ref("a.py", "text/x-python", data)
    async with a2a(user, streaming=False) as client:
        task = await sent(client, message(text_part("a"), file_part(ref, data)))
    view = await user.task(task.id)
    assert view["request"]["files"] == [ref.model_dump(mode="json")]
    got = await user.call("GET", f"/v1/tasks/{task.id}/files/{hashlib.sha256(data).hexdigest()}")
    assert got.body == data


async def test_the_same_message_sent_twice_is_one_task(user: Client) -> None:
    async with a2a(user, streaming=False) as client:
        request = message(text_part("a"))
        first, second = await sent(client, request), await sent(client, request)
        assert first.id == second.id
        request.message.parts[0].text = "b"
        with pytest.raises(InvalidParamsError):
            await sent(client, request)


async def test_a_question_is_answered_by_a_message_to_its_task(user: Client, runner: Client) -> None:
    async with a2a(user) as client:
        asked = [event async for event in client.send_message(message(text_part("ask a")))][-1].task
        assert asked.status.state == pb.TASK_STATE_INPUT_REQUIRED
        assert asked.status.message.parts[0].text == "which one?"
        stream = client.send_message(message(text_part("the first"), task_id=asked.id))
        assert (await anext(stream)).task.id == asked.id
        await runner.complete(await claimed(runner, asked.id), output={})
        last = [event async for event in stream][-1]
        assert last.status_update.status.state == pb.TASK_STATE_COMPLETED
        with pytest.raises(UnsupportedOperationError):
            await sent(client, message(text_part("more"), task_id=asked.id))


async def test_a_task_is_fetched_subscribed_and_canceled(user: Client) -> None:
    async with a2a(user) as client:
        stream = client.send_message(message(text_part("a")))
        task = (await anext(stream)).task
        subscribed = client.subscribe(pb.SubscribeToTaskRequest(id=task.id))
        assert (await anext(subscribed)).task.id == task.id
        assert (await client.get_task(pb.GetTaskRequest(id=task.id))).id == task.id
        canceled = await client.cancel_task(pb.CancelTaskRequest(id=task.id))
        assert canceled.status.state == pb.TASK_STATE_CANCELED
        for followed in (stream, subscribed):
            assert [event async for event in followed][-1].status_update.status.state == pb.TASK_STATE_CANCELED
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(pb.CancelTaskRequest(id=task.id))


async def test_a_task_of_another_key_is_not_found(user: Client, admin: Client) -> None:
    other = await admin.new_key("tasks:read", "tasks:write")
    async with a2a(user, streaming=False) as client, a2a(other, streaming=False) as stranger:
        task = await sent(client, message(text_part("a")))
        with pytest.raises(TaskNotFoundError):
            await stranger.get_task(pb.GetTaskRequest(id=task.id))
        with pytest.raises(TaskNotFoundError):
            await stranger.cancel_task(pb.CancelTaskRequest(id=task.id))
        with pytest.raises(TaskNotFoundError):
            await sent(stranger, message(text_part("mine now"), task_id=task.id))
        assert task.id not in [listed.id for listed in (await stranger.list_tasks(pb.ListTasksRequest())).tasks]


async def test_lists_are_paged_and_filtered(admin: Client) -> None:
    user = await admin.new_key("tasks:read", "tasks:write")
    async with a2a(user, streaming=False) as client:
        ids = [(await sent(client, message(text_part("a")))).id for _ in range(3)]
        first = await client.list_tasks(pb.ListTasksRequest(page_size=2))
        rest = await client.list_tasks(pb.ListTasksRequest(page_size=2, page_token=first.next_page_token))
        assert [task.id for task in (*first.tasks, *rest.tasks)] == ids[::-1]
        await client.cancel_task(pb.CancelTaskRequest(id=ids[1]))
        canceled = await client.list_tasks(pb.ListTasksRequest(status=pb.TASK_STATE_CANCELED))
        assert [task.id for task in canceled.tasks] == [ids[1]]


async def test_a_0_3_client_is_served(user: Client, runner: Client) -> None:
    async with a2a(user, version="0.3") as client:
        stream = client.send_message(message(text_part("a")))
        task = (await anext(stream)).task
        await runner.complete(await claimed(runner, task.id), output={})
        last = [event async for event in stream][-1]
    assert last.status_update.status.state == pb.TASK_STATE_COMPLETED


def _with_terms(**terms: Any) -> pb.SendMessageRequest:
    request = message(text_part("a"))
    run_id = f"peer.{next(_number)}"
    put_terms(request.message, StepTerms(run_id=run_id, step_key=run_id, **{"deadline_s": 7, **terms}))
    return request


async def test_a_mesh_peers_terms_only_lower_ours(admin: Client, runner: Client) -> None:
    peer = await admin.new_key("tasks:read", "tasks:write", "nodes")
    async with a2a(peer, streaming=False) as client:
        task = await sent(client, _with_terms(hops=3, priority="low", data_class="private"))
        view = await peer.task(task.id)
        assert (view["priority"], view["data_class"]) == ("low", "private")
        lease = await claimed(runner, task.id)
        assert lease.hops < 3
        assert lease.deadline_s <= 7
        raised = await peer.task((await sent(client, _with_terms(priority="high", data_class="public"))).id)
        assert (raised["priority"], raised["data_class"]) == ("normal", "internal")
        with pytest.raises(InvalidParamsError, match="hop count"):
            await sent(client, _with_terms(hops=0))


async def test_the_extension_of_a_caller_outside_the_mesh_is_ignored(user: Client) -> None:
    async with a2a(user, streaming=False) as client:
        view = await user.task((await sent(client, _with_terms(hops=0, priority="low"))).id)
    assert view["priority"] == "normal"


async def test_refusals_are_google_style(user: Client, admin: Client) -> None:
    reader = await admin.new_key("tasks:read")
    body = b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"a"}]}}'
    headers = {"A2A-Version": "1.0", "Content-Type": "application/a2a+json"}
    path = "/a2a/message:send"
    cases = [
        (
            await user.call("POST", path, data=body, headers={**headers, "Authorization": "Bearer no"}),
            401,
            "UNAUTHENTICATED",
        ),
        (await reader.call("POST", path, data=body, headers=headers), 403, "PERMISSION_DENIED"),
        (await user.call("POST", path, data=b"{", headers=headers), 400, "INVALID_REQUEST"),
        (await user.call("POST", path, data=b'{"message":{"messageId":"m"}}', headers=headers), 400, "INVALID_PARAMS"),
        (await user.call("POST", path, data=body, headers={"A2A-Version": "9"}), 400, "VERSION_NOT_SUPPORTED"),
        (await user.call("GET", "/a2a/tasks/tsk_none", headers=headers), 404, "TASK_NOT_FOUND"),
    ]
    for reply, status, reason in cases:
        assert (reply.status, reply.json["error"]["details"][0]["reason"]) == (status, reason)


async def test_a_body_beyond_the_limit_is_refused_in_a2as_words(user: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield b"x" * 2**20

    reply = await user.call("POST", "/a2a/message:send", data=pieces(), headers={"A2A-Version": "1.0"})
    assert (reply.status, reply.json["error"]["details"][0]["reason"]) == (413, "TOO_LARGE")


async def test_the_card_names_the_skills_of_all_agents(user: Client) -> None:
    card = (await user.call("GET", "/.well-known/agent-card.json")).json
    assert "code.run" in {skill["id"] for skill in card["skills"]}
    assert card["capabilities"]["extensions"][0]["uri"] == STEP_URI
    assert card["supportedInterfaces"][0]["url"] == user.plane.url + "/a2a"
