"""The one client of servers with OpenAI's API: chats whole or as they come, embeddings, token counts, speech."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import orjson

from concilium import tracing
from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.contracts.limits import MIB
from concilium.contracts.modes import ModelsConfig
from concilium.engine import audio, usage, vectors
from concilium.engine.audio import SpeechMedia, VoiceId
from concilium.engine.chat import Chat, Completion, Wire
from concilium.engine.conversation import Conversation
from concilium.engine.errors import EngineError
from concilium.engine.messages import Message
from concilium.engine.replicas import Replica, Replicas, affinity_key
from concilium.engine.stream import Delta, completion
from concilium.engine.transport import Limit, Transport, read_json

REPLY_BYTES = MIB
"""Largest JSON answer accepted from an engine."""
TRIES = 3
"""Replicas that one request is sent to at most: one that breaks whoever takes it shall not break them all."""
BYTES_A_TOKEN = 2
"""Texts have more; a prompt that may be too long by this measure is counted."""

_T = TypeVar("_T")


class EngineClient:
    """Asks one engine, which may have several replicas; an async context manager. Calls may run at the same time."""

    def __init__(self, config: EngineConfig, models: ModelsConfig | None = None) -> None:
        """Prepare.

        Args:
            config: where the engine is, and its time limits.
            models: the modes; None: every answer is the most probable one, and whether it thinks is the model's choice.
        """
        self._config = config
        self._models = models
        self._model = config.model
        self._replicas = Replicas(config.urls)
        self._transport = Transport(config)
        self._can_count = True
        self._conversation = Conversation(config, self._transport)

    @property
    def model(self) -> str:
        """The configured model, or the one found for the first call; empty before that."""
        return self._model

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def chat(
        self, messages: Sequence[Message], *, schema: dict[str, JSON] | None = None, max_tokens: int, purpose: str = ""
    ) -> str:
        """Return the text of the model's answer; it may still break the schema, be cut off or be nothing but thoughts.

        Args:
            messages: the conversation so far.
            schema: JSON schema that the engine is asked to enforce while decoding; None: the answer is free text.
            max_tokens: tokens the answer may have.
            purpose: what it is for, which decides the mode.

        Raises:
            EngineError: there is no answer.
        """
        return (await self.complete(Chat(messages, schema=schema, max_tokens=max_tokens, purpose=purpose))).content

    async def complete(self, chat: Chat) -> Completion:
        """Return a whole answer. Raises `EngineError` when no replica gave one."""
        wire, limit = await self._prepared(chat)
        key = affinity_key(wire.model, chat.messages)

        async def ask(replica: Replica) -> Completion:
            with replica.busy():
                if not wire.thinking_budget:
                    return await self._conversation.whole(replica.url, wire, limit)
                async with contextlib.aclosing(self._conversation.deltas(replica.url, wire, limit)) as parts:
                    return completion([part async for part in parts])

        with self._observed("/chat/completions"):
            return await self._somewhere(key, limit, ask)

    @contextlib.asynccontextmanager
    async def stream(self, chat: Chat) -> AsyncIterator[AsyncIterator[Delta]]:
        """Open an answer that comes in pieces; leaving the block ends its generation.

        Raises:
            EngineError: no replica began an answer; or, inside, ``stream_interrupted``: it broke off.
        """
        wire, limit = await self._prepared(chat)
        async with contextlib.AsyncExitStack() as held:

            async def begin(replica: Replica) -> AsyncIterator[Delta]:
                async with contextlib.AsyncExitStack() as stack:
                    stack.enter_context(replica.busy())
                    parts = self._conversation.deltas(replica.url, wire, limit)
                    await stack.enter_async_context(contextlib.aclosing(parts))
                    first = await anext(parts)
                    await held.enter_async_context(stack.pop_all())
                return _handed_out(replica, first, parts)

            with self._observed("/chat/completions"):
                begun = await self._somewhere(affinity_key(wire.model, chat.messages), limit, begin)
                yield begun

    async def embed(self, texts: Sequence[str], *, model: str = "") -> list[list[float]]:
        """Return the embedding of each text (OpenAI's ``/embeddings``).

        Raises:
            EngineError: there is not one finite vector for each, all of one length.
        """
        body = {"model": model or await self._model_name(), "input": list(texts), "encoding_format": "float"}
        reply = await self._json("POST", "/embeddings", orjson.dumps(body), vectors.LARGEST_BYTES)
        return vectors.read(reply, len(texts))

    async def count_tokens(self, messages: Sequence[Message], *, model: str = "") -> int:
        """Return how many tokens a prompt of these messages has (vLLM's ``/tokenize``).

        Raises:
            EngineError: status 404: the server cannot count.
        """
        body = {"model": model or await self._model_name(), "messages": list(messages)}
        reply = await self._json("POST", "/tokenize", orjson.dumps(body), vectors.LARGEST_BYTES)
        count = reply.get("count") if isinstance(reply, dict) else None
        if type(count) is not int or count < 0:
            raise EngineError("garbage", "the answer holds no count of tokens")
        return count

    async def speech(self, text: str, *, voice: str | VoiceId, media: SpeechMedia, speed: float = 1.0) -> bytes:
        """Return the text as an audio file (OpenAI's ``/audio/speech``).

        Args:
            text: what to say.
            voice: a voice the server knows, by name or by the id of one it made.
            media: the file's format.
            speed: 1.0 is the voice's own; OpenAI allows 0.25 to 4.

        Raises:
            EngineError: there is no audio, or more than `audio.LARGEST_BYTES` of it.
        """
        body = {"model": await self._model_name(), "input": text, "voice": voice, "speed": speed}
        wanted = orjson.dumps({**body, "response_format": media})
        sound = await self._request("POST", "/audio/speech", wanted, audio.LARGEST_BYTES)
        usage.current().spoken(len(text))
        return sound

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
        form = audio.voice_form(name, consent, sample, media_type)
        replica, limit = self._replicas.choose(None), Limit.of(self._config.timeout_s)
        # Once only: whether a request that broke off has made the voice, nobody knows.
        with self._observed("/audio/voices"), replica.busy(), replica.judged():
            made = await self._transport.whole("POST", replica.url + "/audio/voices", form, limit, REPLY_BYTES)
        return audio.read_voice(made)

    async def _prepared(self, chat: Chat) -> tuple[Wire, Limit]:
        """Return a chat with its mode and model, and how long it may take. Raises `EngineError` if it cannot fit."""
        if chat.mode and not self._models:
            raise ValueError("this client was given no modes")
        name = self._models.choose(chat.mode, chat.purpose) if self._models else None
        mode = self._models.modes[name] if self._models and name else None
        wire = Wire(chat, mode, chat.model or await self._model_name())
        if name and mode:
            usage.current().mode = name
            await self._check_room(wire, mode.context_tokens, name)
        return wire, Limit.of((mode and mode.timeout_s) or self._config.timeout_s)

    async def _check_room(self, wire: Wire, context_tokens: int, name: str) -> None:
        room = context_tokens - wire.answer_tokens - wire.thinking_budget
        if not self._can_count or wire.text_bytes <= BYTES_A_TOKEN * room:
            return
        try:
            count = await self.count_tokens(wire.chat.messages, model=wire.model)
        except EngineError as error:
            if error.status is None:
                raise
            self._can_count = False  # the server judges by its own context
            return
        if count > room:
            raise EngineError("refused", f"the prompt has {count} tokens and the mode '{name}' leaves {room} for it")

    async def _model_name(self) -> str:
        """Return the configured model, else the first one the engine lists."""
        if not self._model:
            reply = await self._json("GET", "/models", None, REPLY_BYTES)
            try:
                self._model = str(reply["data"][0]["id"])
            except (LookupError, TypeError) as error:
                raise EngineError("garbage", "engine.model is not set and the engine lists no model") from error
        return self._model

    async def _json(self, method: str, path: str, body: bytes | None, largest: int) -> JSON:
        return read_json(await self._request(method, path, body, largest))

    async def _request(self, method: str, path: str, body: bytes | None, largest: int) -> bytes:
        limit = Limit.of(self._config.timeout_s)

        async def ask(replica: Replica) -> bytes:
            base = replica.url.removesuffix("/v1") if path == "/tokenize" else replica.url
            with replica.busy():
                return await self._transport.whole(method, base + path, body, limit, largest)

        with self._observed(path) as span:
            found = await self._somewhere(None, limit, ask)
            span.set({"concilium.bytes": len(found)})
            return found

    async def _somewhere(self, key: bytes | None, limit: Limit, ask: Callable[[Replica], Awaitable[_T]]) -> _T:
        """Return what one replica answers; ask the next when it broke, is busy, or does not know the model."""
        tried: list[Replica] = []
        while True:
            replica = self._replicas.choose(key, tried)
            try:
                with replica.judged():
                    return await ask(replica)
            except EngineError as error:
                tried.append(replica)
                spent = len(tried) >= TRIES or limit.left_s <= 0
                if spent or not error.elsewhere or not self._replicas.others(tried):
                    raise
                usage.RETRIES.labels(error.kind).inc()

    @contextlib.contextmanager
    def _observed(self, path: str) -> Iterator[tracing.Span]:
        """Trace and measure a request, whatever replicas it takes."""
        about = {"url.path": path, "gen_ai.request.model": self._model or None}
        with tracing.span("engine", about, kind="client") as span, usage.timed(path) as timed:
            try:
                yield span
            except EngineError as error:
                timed.outcome = error.kind
                span.fail(error.kind)
                raise


async def _handed_out(replica: Replica, first: Delta, rest: AsyncIterator[Delta]) -> AsyncIterator[Delta]:
    """Yield what a replica answers; from here on a failure is the caller's to deal with."""
    yield first
    try:
        async for delta in rest:
            yield delta
    except EngineError as error:
        if error.broke:
            replica.breaker.failed()
        raise EngineError("stream_interrupted", str(error), error.status) from error
