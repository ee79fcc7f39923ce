"""Servers that lie, stall, flood and break off: each a clear error, none a hang, and no secret in it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from concilium.engine import Chat, EngineClient, EngineError, Message
from support.chat_server import (
    DONE,
    MODELS,
    Handler,
    begin,
    chunk,
    event,
    forever,
    refuses,
    says,
    serving,
    streams,
    whole,
)

ASKED: list[Message] = [{"role": "user", "content": "private words"}]
FINISH = chunk(finish="stop")


async def json_instead(request: web.Request) -> web.StreamResponse:
    return whole("private words")


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>private words</html>", content_type="text/html")


async def huge_line(request: web.Request) -> web.StreamResponse:
    response = await begin(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            await response.write(b"data: " + b"x" * 65_536)
    return response


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def pings(request: web.Request) -> web.StreamResponse:
    """Keep the connection alive and say nothing; the caller decides when that is enough."""
    response = await begin(request)
    while True:
        await response.write(b": still here\n\n")
        await asyncio.sleep(0.01)


async def drips(request: web.Request) -> web.StreamResponse:
    """Send an event byte by byte, without its end."""
    response = await begin(request)
    while True:
        await response.write(b"d")
        await asyncio.sleep(0.01)


async def drips_whole(request: web.Request) -> web.StreamResponse:
    response = await begin(request, "application/json")
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def cut(request: web.Request) -> web.StreamResponse:
    response = await begin(request)
    assert request.transport is not None
    request.transport.abort()
    return response


def raw(content: bytes) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await response.write(content)
        return response

    return handle


def tool(index: Any, **function: Any) -> dict[str, Any]:
    return chunk(tool_calls=[{"index": index, "function": function}])


STREAMED: dict[str, tuple[Handler, str]] = {
    "JSON for a stream": (json_instead, "garbage: the answer is no event stream"),
    "a page": (page, "garbage: the answer is no event stream"),
    "no event": (raw(b"hello\n\nworld\n\n"), "garbage: the stream ended before the answer did"),
    "nothing": (raw(b""), "garbage: the stream ended before the answer did"),
    "no JSON": (raw(b"data: private words\n\n"), "garbage: the stream holds an event that is not JSON"),
    "broken UTF-8": (raw(b'data: "\xff\xfe"\n\n'), "garbage: the stream holds an event that is not JSON"),
    "other JSON": (streams([1]), "garbage: the stream holds something else"),
    "null": (streams(None), "garbage: the stream holds something else"),
    "choices of text": (streams({"choices": "abc"}), "garbage: the stream holds something else"),
    "content is a number": (streams({"choices": [{"delta": {"content": 7}}]}), "garbage: the stream holds something"),
    "a tool call nowhere": (streams(tool("x", name="a"), FINISH), "garbage: the stream holds a tool call outside"),
    "a tool call far away": (streams(tool(10**9, name="a"), FINISH), "garbage: the stream holds a tool call outside"),
    "a tool call unnamed": (streams(tool(0, arguments="{}"), FINISH), "garbage: the stream holds a tool call without"),
    "done at once": (raw(DONE), "garbage: the stream ended before the answer did"),
    "huge line": (huge_line, "garbage: an event of the stream is larger than"),
    "error inside": (
        streams({"error": {"message": "private words", "type": "OOM"}}),
        "refused: the engine broke off (OOM)",
    ),
    "error of text": (streams({"error": "private words"}), "refused: the engine broke off"),
    "redirect": (refuses(302, Location="/elsewhere"), "refused: HTTP 302"),
    "silent": (silent, "timeout: no token within 0.3 s"),
    "pings": (pings, "timeout: no token within 0.3 s"),
    "drips": (drips, "timeout: no token within 0.3 s"),
    "cut": (cut, "garbage: the answer is broken"),
}


@pytest.mark.parametrize(("handler", "reason"), STREAMED.values(), ids=STREAMED)
async def test_a_stream_that_does_not_begin_as_one_is_a_clear_error(handler: Handler, reason: str) -> None:
    patience = {"first_token_s": 0.3} if reason.startswith("timeout") else {}
    async with serving(handler) as server, EngineClient(server.config(**patience), MODELS) as client:
        with pytest.raises(EngineError) as failed:
            async with client.stream(Chat(ASKED)) as coming:
                _ = [delta async for delta in coming]
    assert str(failed.value).startswith(reason)
    assert "private" not in str(failed.value)


BROKEN_OFF = {
    "cut": "stream_interrupted: garbage: the answer is broken",
    "stalls": "stream_interrupted: timeout: no token within 0.3 s",
    "babbles": "stream_interrupted: garbage: the stream holds an event that is not JSON",
    "ends": "stream_interrupted: garbage: the stream ended before the answer did",
}


@pytest.mark.parametrize(("end", "reason"), BROKEN_OFF.items())
async def test_a_stream_that_breaks_off_hands_out_what_came_and_says_so(end: str, reason: str) -> None:
    got: list[str] = []
    heard = asyncio.Event()

    async def speak(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        await response.write(event(chunk("Well")))
        await heard.wait()
        match end:
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "stalls":
                await asyncio.Event().wait()
            case "babbles":
                await response.write(b"data: private words\n\n")
        return response

    async def listen(client: EngineClient) -> None:
        async with client.stream(Chat(ASKED)) as coming:
            async for delta in coming:
                got.append(delta.content)
                heard.set()

    async with serving(speak) as server, EngineClient(server.config(next_token_s=0.3), MODELS) as client:
        with pytest.raises(EngineError) as failed:
            await listen(client)
    assert got == ["Well"]
    assert failed.value.kind == "stream_interrupted"
    assert str(failed.value).startswith(reason)
    assert "private" not in str(failed.value)


async def test_the_limit_of_all_holds_for_a_stream_that_goes_on_for_ever() -> None:
    async def talks(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        while True:
            await response.write(event(chunk("bla ")))
            await asyncio.sleep(0.01)

    async with serving(talks) as server, EngineClient(server.config(timeout_s=2.0), MODELS) as client:
        with pytest.raises(EngineError, match="stream_interrupted: timeout: no"):
            async with client.stream(Chat(ASKED)) as coming:
                _ = [delta async for delta in coming]
        async with asyncio.timeout(10):
            await server.left.wait()


async def test_the_limit_of_all_holds_for_a_whole_answer_that_drips() -> None:
    async with serving(drips_whole) as server, EngineClient(server.config(timeout_s=0.5)) as client:
        with pytest.raises(EngineError, match=r"timeout: no answer within 0\.5 s"):
            await client.complete(Chat(ASKED))


async def test_a_head_that_is_no_http_is_garbage() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"private words\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, serving(says()) as other, EngineClient(other.config(url=url), MODELS) as client:
        with pytest.raises(EngineError, match="garbage: the answer is broken") as failed:
            await client.complete(Chat(ASKED))
    assert "private" not in str(failed.value)


async def test_an_address_that_takes_no_connection_is_unreachable_within_the_limit_for_connections() -> None:
    with socket.socket() as full:
        # A listener whose queue is full drops further attempts without a word.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        async with waiting_connections(port), serving(says()) as other:
            config = other.config(url=f"http://127.0.0.1:{port}/v1", connect_s=0.3)
            async with EngineClient(config, MODELS) as client:
                with pytest.raises(EngineError, match=r"unreachable: no connection within 0\.3 s"):
                    await client.complete(Chat(ASKED))


@contextlib.asynccontextmanager
async def waiting_connections(port: int) -> AsyncIterator[None]:
    """Fill the queue of a listener that accepts nothing."""
    opened = [socket.socket() for _ in range(4)]
    for waiting in opened:
        waiting.setblocking(False)
        waiting.connect_ex(("127.0.0.1", port))
    try:
        yield
    finally:
        for waiting in opened:
            waiting.close()


async def test_a_stream_that_never_ends_its_thoughts_or_its_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concilium.engine.stream.STREAM_BYTES", 100_000)
    async with serving(forever(*["bla " * 100] * 500)) as server, EngineClient(server.config(), MODELS) as client:
        with pytest.raises(EngineError, match="stream_interrupted: garbage: the stream is larger than 100000 bytes"):
            async with client.stream(Chat(ASKED)) as coming:
                _ = [delta async for delta in coming]
