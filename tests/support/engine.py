"""A real HTTP server that speaks OpenAI's chat completions and says what a test tells it to."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from concilium.contracts.config import EngineConfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reply = str | dict[str, Any] | Handler
"""What the model says, as text or JSON; or how the whole server answers."""


@dataclass
class ScriptedEngine:
    """Gives its replies one after another, the last one for ever."""

    replies: list[Reply] = field(default_factory=list)
    free: bool = False
    """Calls ask for free text, and may show images; else each must give the schema of its answer."""
    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the calls, in order."""
    keys: list[str | None] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Calls are answered while this is set."""
    thinking: int = 0
    most: int = 0
    """Largest number of calls that were under way at once."""
    dropped: int = 0
    """Calls whose caller went away before the answer."""

    def config(self, **values: Any) -> EngineConfig:
        return EngineConfig(**{"url": self.url, "model": "test-model", "timeout_s": 10.0, **values})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer one call as OpenAI's API reference describes it."""
        body = await request.json()
        (check_free_request if self.free else check_request)(body)
        self.seen.append(body)
        self.keys.append(request.headers.get("Authorization"))
        reply = self.replies[min(len(self.seen), len(self.replies)) - 1]
        self.thinking += 1
        self.most = max(self.most, self.thinking)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        finally:
            self.thinking -= 1
        if callable(reply):
            return await reply(request)
        return completion(reply if isinstance(reply, str) else json.dumps(reply))

    async def models(self, request: web.Request) -> web.Response:
        """List the models."""
        return web.json_response({"object": "list", "data": [{"id": "first-model", "object": "model"}]})


def check_request(body: dict[str, Any]) -> None:
    """Fail (the caller gets a 500) unless the body is a chat completion request with a JSON schema."""
    assert body["model"]
    assert [message["role"] for message in body["messages"]][:2] == ["system", "user"]
    assert all(isinstance(message["content"], str) for message in body["messages"])
    assert body["max_tokens"] > 0
    shape = body["response_format"]
    assert shape["type"] == "json_schema"
    assert shape["json_schema"]["name"]
    assert isinstance(shape["json_schema"]["strict"], bool)
    Draft202012Validator.check_schema(shape["json_schema"]["schema"])


def check_free_request(body: dict[str, Any]) -> None:
    """Fail unless the body is a chat completion request for free text, of texts and of images given as data URLs."""
    assert body["model"]
    assert [message["role"] for message in body["messages"]][:2] == ["system", "user"]
    assert body["max_tokens"] > 0
    assert "response_format" not in body
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        for part in parts:
            assert part["type"] in {"text", "image_url"}
            if part["type"] == "image_url":
                images_of({"messages": [{"content": [part]}]})


def images_of(body: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return the media type and the bytes of every image in a request, in order."""
    parts = (part for m in body["messages"] if isinstance(m["content"], list) for part in m["content"])
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    found = []
    for url in urls:
        head, _, data = url.partition(";base64,")
        assert head.startswith("data:image/")
        found.append((head.removeprefix("data:"), base64.b64decode(data, validate=True)))
    return found


def completion(text: str | None, finish: str = "stop") -> web.Response:
    """Return a chat completion with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return web.json_response(
        {"id": "c1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )


@contextlib.asynccontextmanager
async def running_engine(*replies: Reply, port: int = 0, free: bool = False) -> AsyncIterator[ScriptedEngine]:
    """Serve on that loopback port, on a free one when it is 0."""
    engine = ScriptedEngine(list(replies), free)
    engine.gate.set()
    app = web.Application(client_max_size=16 * 2**20)
    app.router.add_post("/v1/chat/completions", engine.chat)
    app.router.add_get("/v1/models", engine.models)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield engine
    finally:
        engine.gate.set()
        await runner.cleanup()
