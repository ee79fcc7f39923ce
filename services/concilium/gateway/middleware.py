"""Pure ASGI middleware: what holds for every request, whoever answers it."""

import asyncio
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from concilium.contracts.base import new_id
from concilium.contracts.errors import BadRequest, ConciliumError, TooLarge
from concilium.gateway.problems import RequestTimeout, problem_response
from concilium.gateway.trace import begin

BODY_IDLE_S = 30.0
"""How long the next piece of a body may take."""
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
        started = time.perf_counter()
        status, first_byte = 0, 0.0
        trace = begin(Headers(scope=scope).get("traceparent"))
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
            route = _route(scope)
            self._count(scope["method"], route, status, (first_byte or time.perf_counter()) - started)
            log.debug("request", method=scope["method"], route=route, status=status, trace_id=trace.trace_id)


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "(none)"))


class BodyLimit:
    """Refuses bodies that are too large or too slow, counted while they stream."""

    def __init__(self, app: ASGIApp, max_bytes: int, idle_s: float = BODY_IDLE_S) -> None:
        self.app = app
        self._max = max_bytes
        self._idle_s = idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check_announced(Headers(scope=scope).get("content-length"))
        except ConciliumError as error:
            await problem_response(error)(scope, receive, send)
            return
        seen, whole = 0, False

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:  # what comes now is the end of the connection, whenever that is
                return await receive()
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await receive()
            except TimeoutError as error:
                raise RequestTimeout(f"no more of the body arrived for {self._idle_s:.0f} s") from error
            seen += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if seen > self._max:
                raise self._too_large()
            return message

        await self.app(scope, counted, send)

    def _check_announced(self, length: str | None) -> None:
        if length is None:
            return
        if not (length.isascii() and length.isdigit()):
            raise BadRequest("Content-Length is not a number")
        if int(length) > self._max:
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"a body may have at most {self._max} bytes", limit_bytes=self._max)
