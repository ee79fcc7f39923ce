"""Several replicas behind one client: what one cannot do another does, and who is handed what."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from concilium.engine import Chat, EngineClient, EngineError
from concilium.engine.breaker import FAILURES
from support.chat_server import MODELS, ChatServer, Handler, begin, forever, refuses, says, serving, whole
from support.engine_process import engine_process
from support.ledgers import until

REPLY = "The answer is forty-two."
MANY = 24
"""Conversations: so many do not all land on one of two replicas."""
Pair = tuple[EngineClient, ChatServer, ChatServer]


def chats(count: int) -> list[Chat]:
    """Return chats of different conversations, which land on different replicas."""
    return [Chat([{"role": "user", "content": f"Conversation {n}"}], mode="dialogue") for n in range(count)]


@contextlib.asynccontextmanager
async def pair(
    first: Handler, second: Handler, **config: object
) -> AsyncIterator[tuple[EngineClient, ChatServer, ChatServer]]:
    async with contextlib.AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(serving(handler)) for handler in (first, second)]
        both = a.config(url=f"{a.url}, {b.url}/", **config)
        yield await stack.enter_async_context(EngineClient(both, MODELS)), a, b


async def said(client: EngineClient, chat: Chat) -> str:
    """Return the text of a streamed answer."""
    async with client.stream(chat) as coming:
        return "".join([delta.content async for delta in coming])


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


async def drop_after_the_head(request: web.Request) -> web.StreamResponse:
    response = await begin(request)
    return await drop(request) if request.transport else response


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>")


ELSEWHERE: dict[str, Handler] = {
    "500": refuses(500),
    "503": refuses(503),
    "429": refuses(429),
    "an adapter that is not there yet": refuses(404),
    "no answer": drop,
    "a head and no more": drop_after_the_head,
    "garbage": page,
}


@pytest.mark.parametrize("broken", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_request_whose_answer_had_not_begun_is_answered_elsewhere_unseen(
    broken: Handler, streamed: bool
) -> None:
    async with pair(broken, says("a", "b")) as (client, a, b):
        for chat in chats(MANY):
            found = await said(client, chat) if streamed else (await client.complete(chat)).content
            assert found == "ab"
    assert a.seen
    assert len(b.seen) == MANY


async def test_a_request_that_no_replica_would_take_is_asked_once() -> None:
    async with pair(refuses(401), refuses(401)) as (client, a, b):
        with pytest.raises(EngineError, match="refused: HTTP 401"):
            await client.complete(chats(1)[0])
    assert len(a.seen) + len(b.seen) == 1


async def test_a_request_that_breaks_every_replica_is_not_sent_to_all_of_them() -> None:
    async with contextlib.AsyncExitStack() as stack:
        fleet = [await stack.enter_async_context(serving(drop)) for _ in range(6)]
        config = fleet[0].config(url=",".join(server.url for server in fleet))
        async with EngineClient(config, MODELS) as client:
            with pytest.raises(EngineError, match="unreachable"):
                await client.complete(chats(1)[0])
    assert sum(len(server.seen) for server in fleet) == 3


async def test_a_replica_that_keeps_failing_is_left_alone() -> None:
    async with pair(refuses(500), says("a")) as (client, a, _b):
        for chat in chats(80):
            assert (await client.complete(chat)).content == "a"
    assert FAILURES <= len(a.seen) <= FAILURES + 3, "a trial now and then, should this take long"


async def test_a_busy_replica_is_not_held_to_be_broken() -> None:
    async with pair(refuses(503), says("a")) as (client, a, _b):
        for chat in chats(80):
            assert (await client.complete(chat)).content == "a"
    assert len(a.seen) > FAILURES


async def test_a_single_engine_that_keeps_failing_is_not_asked_for_a_while_and_the_error_says_so() -> None:
    async with serving(refuses(500)) as server, EngineClient(server.config(), MODELS) as client:
        for _ in range(FAILURES):
            with pytest.raises(EngineError, match="refused: HTTP 500"):
                await client.complete(chats(1)[0])
        with pytest.raises(
            EngineError, match=r"unreachable: it failed too often just now and is tried again in [45]\.\d s"
        ):
            await client.complete(chats(1)[0])
    assert len(server.seen) == FAILURES


async def test_a_conversation_stays_with_its_replica() -> None:
    async with pair(says("a"), says("a")) as (client, a, b):
        for chat in chats(MANY) * 3:
            await client.complete(chat)
    users = [{body["messages"][0]["content"] for body in server.seen} for server in (a, b)]
    assert not users[0] & users[1]
    assert len(users[0] | users[1]) == MANY
    assert all(users)


async def test_a_stream_counts_as_load_until_it_is_left() -> None:
    async with pair(forever("a"), forever("a")) as (client, a, b):
        async with contextlib.AsyncExitStack() as held:
            for _ in range(24):
                await anext(await held.enter_async_context(client.stream(chats(1)[0])))
            assert min(len(a.seen), len(b.seen)) >= 6, "one conversation's requests spill over when they are many"
        assert [replica.load for replica in client._replicas._all] == [0, 0]


async def test_no_replica_that_listens_is_unreachable() -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        url = ",".join(f"http://127.0.0.1:{s.getsockname()[1]}/v1" for s in (one, other))
        async with serving(says()) as server, EngineClient(server.config(url=url), MODELS) as client:
            with pytest.raises(EngineError, match="unreachable: the connection failed"):
                await client.complete(chats(1)[0])


async def test_whole_answers_survive_the_kill_of_the_replica_that_was_in_the_middle_of_them() -> None:
    async def in_the_middle() -> bool:
        return await asyncio.to_thread(lambda: doomed.begun) > 0

    with engine_process(REPLY) as doomed, engine_process(REPLY) as healthy:
        healthy.let_go()
        config = ChatServer(says()).config(url=f"{doomed.url},{healthy.url}", timeout_s=120.0)
        async with EngineClient(config, MODELS) as client:
            asked = [asyncio.create_task(client.complete(chat)) for chat in chats(MANY)]
            await until(in_the_middle)
            await asyncio.to_thread(doomed.kill)
            found = await asyncio.gather(*asked)
    assert [answer.content for answer in found] == [REPLY] * MANY


class Step:
    """Runs a step as its owner does: from its beginning again when the answer broke off."""

    def __init__(self) -> None:
        self.begun = False
        self.interrupted = 0

    async def run(self, client: EngineClient, chat: Chat) -> str:
        try:
            return await self._once(client, chat)
        except EngineError as error:
            self.interrupted += error.kind == "stream_interrupted"
            return await self._once(client, chat)

    async def _once(self, client: EngineClient, chat: Chat) -> str:
        text = ""
        async with client.stream(chat) as coming:
            async for delta in coming:
                self.begun = True
                text += delta.content
        return text


async def test_a_stream_whose_replica_was_killed_is_interrupted_and_its_step_succeeds_when_it_is_run_again() -> None:
    steps = [Step() for _ in range(MANY)]

    async def all_begun() -> bool:
        return all(step.begun for step in steps)

    with engine_process(REPLY) as doomed, engine_process(REPLY) as healthy:
        healthy.let_go()
        config = ChatServer(says()).config(url=f"{doomed.url},{healthy.url}", timeout_s=120.0, next_token_s=100.0)
        async with EngineClient(config, MODELS) as client:
            running = [step.run(client, chat) for step, chat in zip(steps, chats(MANY), strict=True)]
            ended = asyncio.gather(*running)
            await until(all_begun)
            lost = doomed.begun
            await asyncio.to_thread(doomed.kill)
            found = await ended
    assert found == [REPLY] * MANY
    assert sum(step.interrupted for step in steps) == lost > 0
    assert max(step.interrupted for step in steps) == 1


async def test_the_fallback_model_is_asked_of_any_replica() -> None:
    async def lists(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": [{"id": "found"}]}) if request.path.endswith("/models") else whole("a")

    async with pair(drop, lists, model="") as (client, _a, b):
        await client.complete(chats(1)[0])
    assert client.model == b.seen[0]["model"] == "found"
