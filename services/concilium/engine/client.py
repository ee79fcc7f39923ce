"""A client for any server that speaks OpenAI's ``/chat/completions`` (not streamed) and ``/audio/speech``."""

import re
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict

import aiohttp
import orjson

from concilium import tracing
from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.contracts.limits import KIB, MIB
from concilium.engine import usage

REPLY_BYTES = MIB
"""Largest JSON answer accepted from an engine."""
SPEECH_BYTES = 64 * MIB
"""Largest audio file accepted from an engine."""
CONNECT_S = 5.0
_ERROR_BYTES = 64 * KIB
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

SpeechMedia = Literal["wav", "mp3", "opus", "flac"]
Kind = Literal["unreachable", "timeout", "refused", "garbage"]


class TextPart(TypedDict):
    """A text inside a message of several parts."""

    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    """Where an image is; here always a ``data:`` URL, so that an engine fetches nothing."""

    url: str


class VoiceId(TypedDict):
    """A voice the server made of a recording, as `EngineClient.create_voice` named it."""

    id: str


class ImagePart(TypedDict):
    """An image inside a message; `image_part` makes one."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart | ImagePart]


def image_part(data: bytes, media_type: str) -> ImagePart:
    """Return an image's bytes as a part of a message."""
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{b64encode(data).decode()}"}}


class EngineError(Exception):
    """The engine gave nothing that can be used. The text holds no secret and nothing that was sent or received.

    Attributes:
        kind: ``unreachable`` (no connection, or it broke), ``timeout``, ``refused`` (an HTTP status other than 200, or
            no key to show) or ``garbage`` (too large, or no chat completion).
        status: the HTTP status of a refusal.
    """

    def __init__(self, kind: Kind, detail: str, status: int | None = None) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.status = status


class EngineClient:
    """Asks one engine; an async context manager. Calls may run at the same time."""

    def __init__(self, config: EngineConfig) -> None:
        self._base = config.url.rstrip("/")
        self._model = config.model
        self._key_file = config.api_key_file
        self._strict = True
        self._timeout = aiohttp.ClientTimeout(total=config.timeout_s, sock_connect=CONNECT_S)
        self._session: aiohttp.ClientSession | None = None

    @property
    def model(self) -> str:
        """The configured model, or the one found for the first call; empty before that."""
        return self._model

    async def __aenter__(self) -> Self:
        # Connections are not kept: a server that closes an idle one just as it is used would look like a failure, and
        # opening one is nothing beside the seconds a model takes.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=self._timeout,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def chat(self, messages: Sequence[Message], *, schema: dict[str, JSON] | None = None, max_tokens: int) -> str:
        """Return the text of the model's answer; it may still break the schema or be cut off at ``max_tokens``.

        Args:
            messages: the conversation so far.
            schema: JSON schema that the engine is asked to enforce while decoding; None: the answer is free text.
            max_tokens: tokens the answer may have.

        Raises:
            EngineError: there is no answer.
        """
        body = {
            "model": await self._model_name(),
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        reply = await (self._free(body) if schema is None else self._shaped(body, schema))
        usage.current().answer(reply)
        try:
            content: Any = reply["choices"][0]["message"]["content"]
        except (LookupError, TypeError) as error:
            raise EngineError("garbage", "the answer is not a chat completion") from error
        if not isinstance(content, str):
            raise EngineError("garbage", "the chat completion holds no text")
        return content

    async def speech(self, text: str, *, voice: str | VoiceId, media: SpeechMedia, speed: float = 1.0) -> bytes:
        """Return the text as an audio file (OpenAI's ``/audio/speech``).

        Args:
            text: what to say.
            voice: a voice the server knows, by name or by the id of one it made.
            media: the file's format.
            speed: 1.0 is the voice's own; OpenAI allows 0.25 to 4.

        Raises:
            EngineError: there is no audio, or more than `SPEECH_BYTES` of it.
        """
        body = {"model": await self._model_name(), "input": text, "voice": voice, "speed": speed}
        audio = await self._request(
            "POST", "/audio/speech", orjson.dumps({**body, "response_format": media}), SPEECH_BYTES
        )
        usage.current().spoken(len(text))
        return audio

    async def create_voice(self, *, name: str, consent: str, sample: bytes, media_type: str) -> VoiceId:
        """Have the server make a voice of a recording (OpenAI's ``/audio/voices``).

        Args:
            name: what the voice shall be called.
            consent: the server's id of the speaker's recorded consent.
            sample: the recording, an audio file.
            media_type: of the recording.

        Raises:
            EngineError: there is no voice; status 404, 405 or 501: the server makes none.
        """
        form = aiohttp.FormData({"name": name, "consent": consent})
        form.add_field("audio_sample", sample, filename="sample", content_type=media_type)
        try:
            made: Any = orjson.loads(await self._request("POST", "/audio/voices", form, REPLY_BYTES))
            found = made["id"]
        except (orjson.JSONDecodeError, LookupError, TypeError) as error:
            raise EngineError("garbage", "the answer names no voice") from error
        if not isinstance(found, str) or not _CODE.fullmatch(found):
            raise EngineError("garbage", "the answer names no voice")
        return {"id": found}

    async def _free(self, body: dict[str, JSON]) -> JSON:
        return await self._call("POST", "/chat/completions", orjson.dumps(body))

    async def _shaped(self, body: dict[str, JSON], schema: dict[str, JSON]) -> JSON:
        """Return the engine's reply to a request for an answer of that schema."""
        try:
            return await self._call("POST", "/chat/completions", _with_schema(body, schema, strict=self._strict))
        except EngineError as error:
            if error.status != 400 or not self._strict:
                raise
        # OpenAI's own servers call only a subset of JSON Schema strict (no optional members); others ignore the word.
        reply = await self._call("POST", "/chat/completions", _with_schema(body, schema, strict=False))
        self._strict = False
        return reply

    async def _model_name(self) -> str:
        """Return the configured model, else the first one the engine lists."""
        if not self._model:
            reply = await self._call("GET", "/models", None)
            try:
                self._model = str(reply["data"][0]["id"])
            except (LookupError, TypeError) as error:
                raise EngineError("garbage", "engine.model is not set and the engine lists no model") from error
        return self._model

    async def _call(self, method: str, path: str, body: bytes | None) -> JSON:
        try:
            return orjson.loads(await self._request(method, path, body, REPLY_BYTES))
        except orjson.JSONDecodeError as error:
            raise EngineError("garbage", f"the answer is broken ({type(error).__name__})") from error

    async def _request(self, method: str, path: str, body: bytes | aiohttp.FormData | None, limit: int) -> bytes:
        about = {"url.path": path, "gen_ai.request.model": self._model or None}
        with tracing.span("engine", about, kind="client") as span, usage.timed(path) as timed:
            try:
                answer = await self._answer(method, path, body, limit)
            except EngineError as error:
                timed.outcome = error.kind
                span.fail(error.kind)
                raise
            span.set({"concilium.bytes": len(answer)})
            return answer

    async def _answer(self, method: str, path: str, body: bytes | aiohttp.FormData | None, limit: int) -> bytes:
        if self._session is None:
            raise RuntimeError("the client is used as an async context manager")
        headers = {"Accept-Encoding": "identity", **tracing.headers(), **self._authorization()}
        data = body if isinstance(body, aiohttp.FormData) else _stream(body)
        if not isinstance(body, aiohttp.FormData):
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                method, self._base + path, data=data, headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise EngineError("refused", await _refusal(response), response.status)
                return await _bounded(response, limit)
        except aiohttp.ConnectionTimeoutError as error:
            raise EngineError("unreachable", f"no connection within {CONNECT_S:g} s") from error
        except TimeoutError as error:
            raise EngineError("timeout", f"no answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError) as error:
            raise EngineError("garbage", f"the answer is broken ({type(error).__name__})") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineError("unreachable", f"the connection failed ({type(error).__name__})") from error

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


def _stream(body: bytes | None) -> BytesIO | None:
    """Return a body as a stream: a picture sent in one piece would hold up the event loop."""
    return None if body is None else BytesIO(body)


def _with_schema(body: dict[str, JSON], schema: dict[str, JSON], *, strict: bool) -> bytes:
    shape = {"name": "answer", "strict": strict, "schema": schema}
    return orjson.dumps({**body, "response_format": {"type": "json_schema", "json_schema": shape}})


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body; stop reading as soon as it is too large."""
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > limit:
            raise EngineError("garbage", f"the answer is larger than {limit} bytes")
    return bytes(found)


async def _refusal(response: aiohttp.ClientResponse) -> str:
    """Return the status and the error's code; its message stays out: servers quote the request or the key in it."""
    try:
        error: Any = orjson.loads(await response.content.read(_ERROR_BYTES))["error"]
        code = str(error.get("code") or error.get("type") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        code = ""
    return f"HTTP {response.status}" + (f" ({code})" if _CODE.fullmatch(code) else "")
