"""A real HTTP server with OpenAI's chat completions, streamed and whole, that does what a test's handler says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from concilium.contracts.config import EngineConfig
from concilium.contracts.modes import parse_models
from concilium.home import shipped

MODELS = parse_models((shipped("configs") / "models.yaml").read_text(encoding="utf-8"))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ChatServer:
    """What was asked, and by how many connections."""

    handler: Handler
    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the chats, in order."""
    connections: set[Any] = field(default_factory=set)
    """A caller's address for each connection that brought a request."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a caller went away before its answer was whole."""

    def config(self, **values: Any) -> EngineConfig:
        return EngineConfig(**{"url": self.url, "model": "m", "timeout_s": 20.0, **values})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Let the handler answer; notice when the caller leaves."""
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        if request.path.endswith("/chat/completions"):
            self.seen.append(await request.json())
        try:
            return await self.handler(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.set()
            raise


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, keepalive_s: float = 60.0) -> AsyncIterator[ChatServer]:
    """Serve every path on a free loopback port."""
    server = ChatServer(handler)
    app = web.Application(client_max_size=16 * 2**20)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1, keepalive_timeout=keepalive_s
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return a chunk with one choice."""
    said = delta if content is None else {"content": content, **delta}
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def counted(taken: int, given: int) -> dict[str, Any]:
    """Return the chunk that ends a stream whose tokens were asked to be counted."""
    return {"choices": [], "usage": {"prompt_tokens": taken, "completion_tokens": given}}


def event(value: Any) -> bytes:
    """Return an event of a stream."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


async def begin(request: web.Request, content_type: str = "text/event-stream") -> web.StreamResponse:
    """Send the head of a stream."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    return response


def says(*texts: str) -> Handler:
    """Return a handler that streams these texts, or says them at once when no stream was asked for."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if not (await request.json()).get("stream"):
            return whole("".join(texts))
        return await streams(*(chunk(text) for text in texts), chunk(finish="stop"), counted(3, len(texts)))(request)

    return handle


def streams(*values: Any) -> Handler:
    """Return a handler that streams these values, JSON or bytes, and ends."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for value in values:
            await response.write(value if isinstance(value, bytes) else event(value))
        await response.write(DONE)
        return response

    return handle


def forever(*texts: str) -> Handler:
    """Return a handler that streams these texts and then nothing more."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for text in texts:
            await response.write(event(chunk(text)))
        await asyncio.Event().wait()
        raise AssertionError

    return handle


def whole(text: str | None, **message: Any) -> web.Response:
    """Return a chat completion with one choice."""
    said = {"role": "assistant", "content": text, **message}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return web.json_response({"choices": [{"index": 0, "message": said, "finish_reason": "stop"}], "usage": usage})


def in_turn(*handlers: Handler) -> Handler:
    """Return a handler that answers with one after another, with the last for ever."""
    left = list(handlers)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return handle


def refuses(status: int, **headers: str) -> Handler:
    """Return a handler that refuses."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": "private words", "type": "test"}}, status=status, headers=headers
        )

    return handle
