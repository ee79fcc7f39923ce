"""HTTP to an engine: pooled connections, time limits, bounded answers, and every failure as an `EngineError`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self, TypedDict

import aiohttp
import orjson

from concilium import tracing
from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.contracts.limits import KIB
from concilium.engine.errors import EngineError, is_code

KEEP_S = 4.0
"""How long an idle connection is kept: less than the 5 s after which uvicorn, and with it vLLM, closes one."""
DRAIN_S = 0.05
"""How long the last bytes of a finished answer are waited for, so that its connection can be used again."""
_ERROR_BYTES = 64 * KIB
_AT_ONCE_BYTES = 64 * KIB
"""A larger body is sent in pieces: in one piece it would hold up the event loop."""

Body = bytes | aiohttp.FormData | None


class _RequestOptions(TypedDict):
    data: BytesIO | Body
    headers: dict[str, str]
    allow_redirects: bool
    timeout: aiohttp.ClientTimeout


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a request may take in all. Counted by the monotonic clock from when it was made."""

    seconds: float
    until: float

    @classmethod
    def of(cls, seconds: float) -> "Limit":
        """Return the limit that begins now."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        return max(0.0, self.until - time.monotonic())


class Transport:
    """Connections to all replicas of one engine; an async context manager."""

    def __init__(self, config: EngineConfig) -> None:
        self._key_file = config.api_key_file
        self._connect_s = config.connect_s
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        reused = aiohttp.TraceConfig()
        reused.on_connection_reuseconn.append(_note_reuse)
        self._pooled = _session(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S), reused)
        self._fresh = _session(aiohttp.TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._pooled, self._fresh):
            if session is not None:
                await session.close()
        self._pooled = self._fresh = None

    @contextlib.asynccontextmanager
    async def answer(
        self, method: str, url: str, body: Body, limit: Limit, begin_s: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield the answer, its body still to come. Leaving early closes the connection.

        Args:
            method: of HTTP.
            url: whole.
            body: JSON, or a form.
            limit: for the request and the reading inside.
            begin_s: seconds until its head must be there; None: the limit alone holds.

        Raises:
            EngineError: there is no answer of status 200, or reading it failed inside.
        """
        with failures(self._connect_s, limit):
            response = await self._begun(method, url, body, limit, begin_s)
            try:
                if response.status != 200:
                    raise EngineError("refused", await _refusal(response), response.status)
                yield response
            finally:
                if response.content.at_eof():
                    response.release()
                else:
                    response.close()

    async def whole(self, method: str, url: str, body: Body, limit: Limit, largest: int) -> bytes:
        """Return the body of the answer. Raises as `answer`, and when it is larger than ``largest`` bytes."""
        async with self.answer(method, url, body, limit) as response:
            return await read_whole(response, largest)

    async def _begun(
        self, method: str, url: str, body: Body, limit: Limit, begin_s: float | None
    ) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(begin_s) as waiting:
                return await self._send(method, url, body, limit)
        except TimeoutError as error:
            if waiting.expired() and limit.left_s > 0:
                raise EngineError("timeout", f"no token within {begin_s:g} s") from error
            raise

    async def _send(self, method: str, url: str, body: Body, limit: Limit) -> aiohttp.ClientResponse:
        if self._pooled is None or self._fresh is None:
            raise RuntimeError("the client is used as an async context manager")
        seen = SimpleNamespace(reused=False)
        # A form is read as it is sent and cannot be sent again.
        first = self._fresh if isinstance(body, aiohttp.FormData) else self._pooled
        try:
            return await first.request(method, url, trace_request_ctx=seen, **self._how(body, limit))
        except (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError) as error:
            # A server may close an idle connection just as it is used again: that is no failure. `message` is the
            # beginning of an answer when one came.
            if not seen.reused or not isinstance(getattr(error, "message", ""), str):
                raise
        return await self._fresh.request(method, url, **self._how(body, limit))

    def _how(self, body: Body, limit: Limit) -> _RequestOptions:
        """Return how to send a request."""
        headers = {"Accept-Encoding": "identity", **tracing.headers(), **self._authorization()}
        if not isinstance(body, aiohttp.FormData):
            headers["Content-Type"] = "application/json"
        return {
            "data": BytesIO(body) if isinstance(body, bytes) and len(body) > _AT_ONCE_BYTES else body,
            "headers": headers,
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(total=max(limit.left_s, 0.001), sock_connect=self._connect_s),
        }

    def _authorization(self) -> dict[str, str]:
        """Return the header with the key, read anew each time so that it can be exchanged."""
        if not self._key_file:
            return {}
        try:
            key = Path(self._key_file).expanduser().read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EngineError("refused", "the file engine.api_key_file cannot be read") from error
        if not key.isprintable():
            raise EngineError("refused", "the file engine.api_key_file holds more than one line")
        return {"Authorization": f"Bearer {key}"}


async def read_whole(response: aiohttp.ClientResponse, largest: int) -> bytes:
    """Return the body; stop reading as soon as it is too large. Raises `EngineError`."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > largest:
            raise EngineError("garbage", f"the answer is larger than {largest} bytes")
    return bytes(found)


def read_json(body: bytes) -> JSON:
    """Return an answer's JSON. Raises `EngineError` when it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EngineError("garbage", f"the answer is broken ({type(error).__name__})") from error


@contextlib.contextmanager
def failures(connect_s: float, limit: Limit) -> Iterator[None]:
    """Turn what aiohttp raises into an `EngineError`."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise EngineError("unreachable", f"no connection within {connect_s:g} s") from error
    except TimeoutError as error:
        raise EngineError("timeout", f"no answer within {limit.seconds:g} s") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
        raise EngineError("garbage", f"the answer is broken ({type(error).__name__})") from error
    except (aiohttp.ClientError, OSError) as error:
        raise EngineError("unreachable", f"the connection failed ({type(error).__name__})") from error


async def drain(response: aiohttp.ClientResponse) -> None:
    """Read the end of an answer whose content is complete, so that its connection goes back to the pool."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN_S):
            await response.content.readany()


def _session(connector: aiohttp.TCPConnector, *traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trace_configs=list(traces)
    )


async def _note_reuse(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


async def _refusal(response: aiohttp.ClientResponse) -> str:
    """Return the status and the error's code; its message stays out: servers quote the request or the key in it."""
    try:
        error: Any = orjson.loads(await response.content.read(_ERROR_BYTES))["error"]
        code = str(error.get("code") or error.get("type") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        code = ""
    return f"HTTP {response.status}" + (f" ({code})" if is_code(code) else "")
