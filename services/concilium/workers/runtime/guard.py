"""What stands before every route: the mesh key and the size of a body."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from concilium.contracts.a2a.errors import refusal
from concilium.contracts.errors import BadRequest, ConciliumError, TooLarge, Unauthorized
from concilium.keyring import KeyFile

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BodyTimeout(ConciliumError):
    type, title, status = "request-timeout", "The body did not arrive in time", 408


class Guard:
    """ASGI middleware: refuses a request without the mesh key (401), reads its body within limits (413, 408)."""

    def __init__(self, app: App, *, key: KeyFile, open_paths: frozenset[str], body_bytes: int, body_s: float) -> None:
        self._app = app
        self._key = key
        self._open = open_paths
        self._body_bytes = body_bytes
        self._body_s = body_s

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        scheme, _, shown = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme != "Bearer" or not self._key.matches(shown):
            await _refuse(send, Unauthorized("the mesh key is missing or wrong"))
            return
        if scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        await self._with_body(scope, headers, receive, send)

    async def _with_body(
        self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        stated = headers.get(b"content-length", b"0")
        too_large = TooLarge(f"a request has at most {self._body_bytes} bytes")
        if not stated.isdigit() or int(stated) > self._body_bytes:
            await _refuse(send, too_large)
            return
        try:
            async with asyncio.timeout(self._body_s):
                body = await _read(receive, self._body_bytes)
        except TimeoutError:
            await _refuse(send, BodyTimeout("the body did not arrive in time"))
            return
        except ValueError:
            await _refuse(send, too_large)
            return
        if body is None:
            return
        if not _is_utf8(body):
            await _refuse(send, BadRequest("the body is not UTF-8"))
            return
        await self._app(scope, _replay(body, receive), send)


async def _read(receive: Receive, limit: int) -> bytes | None:
    """Return a whole body, or None when the client left. Raises ValueError beyond the limit."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise ValueError("body too large")
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_utf8(body: bytes) -> bool:
    """Whether a body is text. The SDK would answer 500 to one that is not."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the whole body once, then what the server says."""
    pending: list[bytes] = [body]

    async def replayed() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replayed


async def _refuse(send: Send, error: ConciliumError) -> None:
    status, body = refusal(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
