"""Chats over the real protocol: whole and streamed, tools, schemas, embeddings, counts."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from concilium.engine import Chat, Delta, EngineClient, EngineError, Message, Meter, TokenUse, Tool, ToolCall, metered
from support.chat_server import (
    MODELS,
    ChatServer,
    begin,
    chunk,
    counted,
    event,
    forever,
    in_turn,
    says,
    serving,
    streams,
    whole,
)

HELLO: list[Message] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
TOOL = Tool("weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


async def deltas(client: EngineClient, chat: Chat) -> list[Delta]:
    async with client.stream(chat) as coming:
        return [delta async for delta in coming]


async def test_a_chat_is_streamed_as_small_deltas_and_ends_with_reason_and_usage() -> None:
    async with serving(says("Good ", "day", "!")) as server, EngineClient(server.config(), MODELS) as client:
        found = await deltas(client, Chat(HELLO, seed=7))
    assert [delta.content for delta in found] == ["Good ", "day", "!", ""]
    assert found[-1] == Delta(finish_reason="stop", usage=TokenUse(3, 3))
    (body,) = server.seen
    assert (body["stream"], body["stream_options"], body["seed"]) == (True, {"include_usage": True}, 7)


async def test_the_same_chat_whole() -> None:
    async with serving(says("Good ", "day", "!")) as server, EngineClient(server.config(), MODELS) as client:
        found = await client.complete(Chat(HELLO))
    assert (found.content, found.finish_reason, found.usage) == ("Good day!", "stop", TokenUse(3, 2))
    assert "stream" not in server.seen[0]


@pytest.mark.parametrize("handler", [says("a", "b"), streams(chunk("ab"), chunk(finish="stop"), counted(3, 2))])
async def test_what_was_used_is_counted_whole_or_streamed(handler: Any) -> None:
    meter = Meter()
    async with serving(handler) as server, EngineClient(server.config(), MODELS) as client:
        with metered(meter):
            await deltas(client, Chat(HELLO))
    (use,) = meter.use("engine")
    assert (use.input_tokens, use.output_tokens, use.uncounted) == (3, 2, 0)


async def test_an_answer_that_is_not_counted_or_broke_off_is_noted_as_such() -> None:
    meter = Meter()
    uncounted = streams(chunk("a"), chunk(finish="stop"))
    async with serving(in_turn(uncounted, forever("a"))) as server, EngineClient(server.config(), MODELS) as client:
        with metered(meter):
            await deltas(client, Chat(HELLO))
            async with client.stream(Chat(HELLO)) as coming:
                await anext(coming)
    (use,) = meter.use("engine")
    assert (use.output_tokens, use.uncounted) == (0, 2)


async def test_a_model_that_may_or_may_not_think_is_held_back_until_it_shows() -> None:
    handler = in_turn(says("a", "b"), says("a", "</think>", "b"))
    async with serving(handler) as server, EngineClient(server.config()) as client:
        plain, thought = await deltas(client, Chat(HELLO)), await deltas(client, Chat(HELLO))
    assert [(delta.reasoning_content, delta.content) for delta in plain] == [("", "ab")]
    assert [(delta.reasoning_content, delta.content) for delta in thought] == [("a", "b")]


async def test_a_stream_without_done_at_its_end_is_whole_when_it_gave_its_reason() -> None:
    async def quiet(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await response.write(event(chunk("a")) + event(chunk(finish="length")))
        return response

    async with serving(quiet) as server, EngineClient(server.config(), MODELS) as client:
        found = await deltas(client, Chat(HELLO))
    assert [(delta.content, delta.finish_reason) for delta in found] == [("a", None), ("", "length")]


def part(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk(tool_calls=[{"index": index, "function": {**name, "arguments": arguments}, **more}])


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    pieces = [
        part(0, "", id="c1", type="function", name="weather"),
        part(0, '{"ci'),
        part(1, '{"city": "Риг', id="c2", name="weather"),
        part(0, 'ty": "Oslo"}'),
        part(1, 'а"}'),
        chunk(finish="tool_calls"),
    ]
    async with serving(streams(*pieces)) as server, EngineClient(server.config(), MODELS) as client:
        found = await deltas(client, Chat(HELLO, tools=[TOOL], tool_choice="required"))
    (last,) = found
    assert last.finish_reason == "tool_calls"
    assert [(call.id, json.loads(call.arguments)["city"]) for call in last.tool_calls] == [
        ("c1", "Oslo"),
        ("c2", "Рига"),
    ]
    (body,) = server.seen
    assert body["tools"][0]["function"]["parameters"] == TOOL.parameters
    assert body["tool_choice"] == "required"


async def test_a_tool_call_that_came_whole_is_answered_in_the_next_turn() -> None:
    call = ToolCall("c1", "weather", '{"city": "Oslo"}')
    handler = in_turn(lambda request: _later(whole(None, tool_calls=[call.message()])), says("Rain."))
    async with serving(handler) as server, EngineClient(server.config(), MODELS) as client:
        asked = await client.complete(Chat(HELLO, tools=[TOOL]))
        assert asked.tool_calls == (call,)
        turn: list[Message] = [
            *HELLO,
            {"role": "assistant", "content": "", "tool_calls": [call.message()]},
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        ]
        assert (await client.complete(Chat(turn, tools=[TOOL]))).content == "Rain."
    assert server.seen[1]["messages"][2:] == turn[2:]


async def _later(response: web.Response) -> web.StreamResponse:
    return response


async def test_a_schema_is_asked_for_in_a_stream_too() -> None:
    schema = {"type": "object"}
    async with serving(says("{}")) as server, EngineClient(server.config(), MODELS) as client:
        assert (await deltas(client, Chat(HELLO, schema=schema)))[0].content == "{}"
    assert server.seen[0]["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": schema}


async def test_an_adapter_is_asked_for_by_its_served_name() -> None:
    async with serving(says("a")) as server, EngineClient(server.config(), MODELS) as client:
        await client.complete(Chat(HELLO, model="sport@1.0.0+0123456789ab"))
        await client.complete(Chat(HELLO))
    assert [body["model"] for body in server.seen] == ["sport@1.0.0+0123456789ab", "m"]


def embeddings(*rows: Any) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        data = [{"index": index, "embedding": vector} for index, vector in rows]
        return web.Response(text=json.dumps({"data": data}), content_type="application/json")

    return handle


async def test_embeddings_come_in_the_order_of_their_texts() -> None:
    async with (
        serving(embeddings((1, [0.5, 1]), (0, [2, 3]))) as server,
        EngineClient(server.config(), MODELS) as client,
    ):
        assert await client.embed(["a", "b"]) == [[2.0, 3.0], [0.5, 1.0]]


@pytest.mark.parametrize(
    "rows",
    [[(0, [1])], [(0, [1]), (1, [1, 2])], [(0, [1]), (1, ["x"])], [(0, [1]), (0, [1])], [(0, []), (1, [])], [(0, 7)]],
)
async def test_embeddings_that_do_not_fit_are_garbage(rows: Any) -> None:
    async with serving(embeddings(*rows)) as server, EngineClient(server.config(), MODELS) as client:
        with pytest.raises(EngineError, match="garbage"):
            await client.embed(["a", "b"])


async def test_an_embedding_that_is_not_finite_is_garbage() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"data": [{"index": 0, "embedding": [1e999]}]}', content_type="application/json")

    async with serving(handle) as server, EngineClient(server.config(), MODELS) as client:
        with pytest.raises(EngineError, match="garbage"):
            await client.embed(["a"])


async def test_tokens_are_counted_by_the_server_beside_its_v1_path() -> None:
    asked: list[tuple[str, Any]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, await request.json()))
        return web.json_response({"count": 42, "max_model_len": 4096, "tokens": [1] * 42})

    async with serving(handle) as server, EngineClient(server.config(), MODELS) as client:
        assert await client.count_tokens(HELLO) == 42
    assert asked == [("/tokenize", {"model": "m", "messages": HELLO})]


async def test_leaving_a_stream_closes_its_connection_so_that_the_engine_stops() -> None:
    async with serving(forever("a", "b")) as server, EngineClient(server.config(), MODELS) as client:
        async with client.stream(Chat(HELLO)) as coming:
            assert (await anext(coming)).content == "a"
        async with asyncio.timeout(10):
            await server.left.wait()


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_cancelled_caller_closes_its_connection_so_that_the_engine_stops(streamed: bool) -> None:
    begun = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        begun.set()
        return await forever("a")(request)

    async with serving(endless) as server, EngineClient(server.config(), MODELS) as client:
        work = deltas(client, Chat(HELLO)) if streamed else client.complete(Chat(HELLO))
        task = asyncio.ensure_future(work)
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(10):
            await server.left.wait()


async def test_connections_are_used_again() -> None:
    async with serving(says("a", "b")) as server, EngineClient(server.config(), MODELS) as client:
        for _ in range(5):
            await client.complete(Chat(HELLO))
            await deltas(client, Chat(HELLO))
    assert len(server.connections) == 1


async def test_a_kept_connection_that_the_server_closed_just_as_it_was_used_is_no_failure() -> None:
    async def answer_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request as if the connection would be kept; hang up on the next, without a byte."""
        served.append(await read_request(reader))
        body = json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()
        await read_request(reader)
        hung_up.append(1)
        writer.close()

    served: list[bytes] = []
    hung_up: list[int] = []
    server = await asyncio.start_server(answer_and_close, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = ChatServer(says()).config(url=f"http://127.0.0.1:{port}/v1")
    async with server, EngineClient(config, MODELS) as client:
        for _ in range(3):
            assert (await client.complete(Chat(HELLO))).content == "a"
    assert len(served) == 3
    assert hung_up


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request with its body; return the body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line:
            return b""
        head += line
    size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return await reader.readexactly(size)
