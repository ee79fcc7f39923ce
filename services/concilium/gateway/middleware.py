"""Pure ASGI middleware: what holds for every request, whoever answers it."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concilium import tracing
from concilium.contracts.base import new_id
from concilium.contracts.errors import BadRequest, ConciliumError, TooLarge
from concilium.gateway.problems import RequestTimeout, problem_response
from concilium.gateway.trace import Trace, begin

BODY_IDLE_S = 30.0
"""How long the next piece of a body may take."""
LINGER_S = 2.0
"""How long the rest of a refused body is taken in."""
CLOSED_REQUEST = 499
"""Counted when the caller left before the answer."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}

log = structlog.get_logger("concilium.http")
Count = Callable[[str, str, int, float], None]


class InternalError(ConciliumError):
    """Something of ours broke; the log has it under the request id."""


class Envelope:
    """Gives each request an id and a trace, each answer its headers, and each surprise a calm 500."""

    def __init__(self, app: ASGIApp, count: Count) -> None:
        self.app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        trace = begin(Headers(scope=scope))
        if not _asks(scope):
            await self._serve(scope, receive, send, trace)
            return
        about = {"http.request.method": scope["method"], "n8n.execution.id": trace.execution_id}
        with tracing.span(scope["method"], about, kind="server", parent=trace.caller) as span:
            status = await self._serve(scope, receive, send, trace.within(span.traceparent))
            route = route_of(scope)
            span.rename(f"{scope['method']} {route}")
            span.set({"http.route": route, "http.response.status_code": status})
            if status >= 500:
                span.fail(str(status))

    async def _serve(self, scope: Scope, receive: Receive, send: Send, trace: Trace) -> int:
        """Have a request answered; return the status."""
        started = time.perf_counter()
        status, first_byte = 0, 0.0
        request_id = new_id("req")
        scope.setdefault("state", {}).update(trace=trace, request_id=request_id)

        async def stamped(message: Message) -> None:
            nonlocal status, first_byte
            if message["type"] == "http.response.start":
                status, first_byte = message["status"], time.perf_counter()
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["x-trace-id"] = trace.trace_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, stamped)
        except ClientDisconnect:
            status = status or CLOSED_REQUEST
        except Exception:
            log.exception("request.broke", request_id=request_id, trace_id=trace.trace_id, path=scope["path"])
            if status:
                raise  # the answer has begun: cutting the connection is the only honest end
            error = InternalError("something broke here; tell the owner this request id", request_id=request_id)
            await problem_response(error)(scope, receive, stamped)
        finally:
            route = route_of(scope)
            self._count(scope["method"], route, status, (first_byte or time.perf_counter()) - started)
            log.debug("request", method=scope["method"], route=route, status=status, trace_id=trace.trace_id)
        return status


def _asks(scope: Scope) -> bool:
    """Whether a request may be the beginning of work, which is what traces are about."""
    return scope["method"] == "POST" and not scope["path"].startswith("/runner/")


def route_of(scope: Scope) -> str:
    """Return the template of the path that answered a request, e.g. ``/tasks/{id}``; ``(none)`` where none did.

    Never the path itself: callers choose it, and each new label would stay in memory. FastAPI names its own routes
    in the scope. Plain routes, as of the runner API, leave only their handler there.
    """
    route = scope.get("route")
    if route is None and "endpoint" in scope:
        handler = scope["endpoint"]
        found = (r for r in scope["app"].routes if handler in (getattr(r, "endpoint", None), getattr(r, "app", None)))
        route = next(found, None)
    return str(getattr(route, "path", "(none)"))


class BodyLimit:
    """Refuses bodies that are too large or too slow, counted while they stream."""

    def __init__(self, app: ASGIApp, max_bytes: int, idle_s: float = BODY_IDLE_S) -> None:
        self.app = app
        self._max = max_bytes
        self._idle_s = idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "content-length" not in headers and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        body = _Body(receive, send, self._max, self._idle_s)
        try:
            body.announced(headers.get("content-length"))
        except ConciliumError as error:
            await problem_response(error)(scope, receive, body.send)
            return
        await self.app(scope, body.receive, body.send)


class _Body:
    """One request's body on its way in, and what is left of it when the answer goes out."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int, idle_s: float) -> None:
        self._receive = receive
        self._send = send
        self._max = max_bytes
        self._idle_s = idle_s
        self._seen = 0
        self._whole = False

    def announced(self, length: str | None) -> None:
        """Judge a Content-Length. Raises `TooLarge`, `BadRequest`."""
        if length is None:
            return
        if not (length.isascii() and length.isdigit()):
            raise BadRequest("Content-Length is not a number")
        if int(length) > self._max:
            raise self._too_large()

    async def receive(self) -> Message:
        """Receive the next piece. Raises `TooLarge`, `RequestTimeout`."""
        if self._whole:  # what comes now is the end of the connection, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout(self._idle_s):
                message = await self._next()
        except TimeoutError as error:
            raise RequestTimeout(f"no more of the body arrived for {self._idle_s:.0f} s") from error
        if self._seen > self._max:
            raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Send; before the end, take in what is left of a body that was refused half-way.

        The answer is out by then. Closing the connection on unread bytes could destroy it before the caller reads it.
        """
        if self._whole or message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        await self._discard()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _discard(self) -> None:
        enough = self._seen + self._max
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._whole and self._seen <= enough:
                    await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        return message

    def _too_large(self) -> TooLarge:
        return TooLarge(f"a body may have at most {self._max} bytes", limit_bytes=self._max)
