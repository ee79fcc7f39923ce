"""The server's surface, all of it behind one bearer secret: OpenAI's routes, vLLM's for adapters, health, metrics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from concilium.engine.embedded.body import read
from concilium.engine.embedded.host import Host
from concilium.engine.embedded.refusal import Refusal
from concilium.engine.embedded.wire import Chat, Completion, LoadAdapter, Tokenize, UnloadAdapter
from concilium.keyring import KeyFile

log = structlog.get_logger()


def create_app(host: Host, secret: KeyFile) -> Starlette:
    """Return the server; its life begins and ends the engine's thread."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        host.start()
        yield
        await host.stop()

    surface = _Surface(host)
    routes = [
        Route("/v1/chat/completions", surface.chat, methods=["POST"]),
        Route("/v1/completions", surface.completions, methods=["POST"]),
        Route("/v1/models", surface.models),
        Route("/v1/load_lora_adapter", surface.load, methods=["POST"]),
        Route("/v1/unload_lora_adapter", surface.unload, methods=["POST"]),
        Route("/tokenize", surface.tokenize, methods=["POST"]),
        Route("/health", surface.health),
        Route("/ready", surface.ready),
        Route("/metrics", surface.metrics),
    ]
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        Refusal: _refused,
        HTTPException: _unknown,
        ClientDisconnect: _gone,
        Exception: _broken,
    }
    guard = Middleware(_Guard, secret=secret)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=life)


class _Surface:
    def __init__(self, host: Host) -> None:
        self._host = host

    async def chat(self, request: Request) -> Response:
        asked = await read(request, Chat)
        served = self._host.served
        return await _generating().chat(request, served, asked)

    async def completions(self, request: Request) -> Response:
        asked = await read(request, Completion)
        served = self._host.served
        return await _generating().completion(request, served, asked)

    async def tokenize(self, request: Request) -> Response:
        asked = await read(request, Tokenize)
        served = self._host.served
        if asked.messages is not None:
            tokens = served.text.chat([message.plain() for message in asked.messages], asked.chat_template_kwargs)
        else:
            tokens = served.text.encode(asked.prompt or "", special=asked.add_special_tokens)
        return JSONResponse({"count": len(tokens), "max_model_len": served.context, "tokens": tokens})

    async def models(self, _: Request) -> Response:
        served = self._host.served
        base = (served.name, served.root, None)
        cards = [base, *((each.name, each.root, served.name) for each in served.adapters.loaded)]
        about = {"object": "model", "created": served.created, "owned_by": "concilium"}
        data = [
            {"id": name, **about, "root": root, "parent": parent, "max_model_len": served.context}
            for name, root, parent in cards
        ]
        return JSONResponse({"object": "list", "data": data})

    async def load(self, request: Request) -> Response:
        asked = await read(request, LoadAdapter)
        await self._host.served.adapters.load(asked.lora_name, asked.lora_path, replace=asked.load_inplace)
        return PlainTextResponse(f"Success: LoRA adapter '{asked.lora_name}' added successfully.")

    async def unload(self, request: Request) -> Response:
        asked = await read(request, UnloadAdapter)
        await self._host.served.adapters.unload(asked.lora_name)
        return PlainTextResponse(f"Success: LoRA adapter '{asked.lora_name}' removed successfully.")

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "failed" if self._host.failed else "ok"}, 500 if self._host.failed else 200)

    async def ready(self, _: Request) -> Response:
        progress = self._host.progress
        return JSONResponse({"status": progress}, 200 if progress == "ready" else 503)

    async def metrics(self, _: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _generating() -> Any:
    from concilium.engine.embedded import generating  # noqa: PLC0415 - with it comes PyTorch

    return generating


class _Guard:
    """Lets in who shows the secret."""

    def __init__(self, app: ASGIApp, secret: KeyFile) -> None:
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scope["type"] == "http" and scheme.lower() == "bearer" and self._secret.matches(shown.strip()):
            await self._app(scope, receive, send)
            return
        refusal = Refusal(401, "Authorization: Bearer <the engine's secret> is needed", "invalid_api_key")
        await _plain(refusal)(scope, receive, send)


def _plain(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body(), refusal.status, refusal.headers())


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - what it is registered for
    return _plain(error)


async def _unknown(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return _plain(Refusal(error.status_code, error.detail, "unknown_url"))


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


async def _broken(request: Request, error: Exception) -> Response:
    log.error("a request failed", path=request.url.path, error=type(error).__name__)
    return _plain(Refusal(500, "the server failed at this request", "internal"))
