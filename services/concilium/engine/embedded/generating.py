"""From a validated request to its answer: the job, its events, the objects that are sent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from concilium.engine.embedded.answers import ChatForm, CompletionForm, JSONObject, Told
from concilium.engine.embedded.body import while_connected
from concilium.engine.embedded.job import Broken, Ended, Event, Job, Piece, Prompted, Sampling
from concilium.engine.embedded.lora import Adapter
from concilium.engine.embedded.refusal import Refusal, invalid
from concilium.engine.embedded.serving import Served
from concilium.engine.embedded.wire import Chat, Completion, Generation

Form = ChatForm | CompletionForm
_SAMPLING = tuple(Sampling.__dataclass_fields__)


async def chat(request: Request, served: Served, asked: Chat) -> Response:
    """Answer a chat."""
    adapter = served.adapters.find(asked.model)
    messages = [message.plain() for message in asked.messages]
    prompt = await asyncio.to_thread(served.text.chat, messages, asked.chat_template_kwargs)
    _check_room(served, len(prompt) + (asked.limit or 1), "messages")
    limit = asked.limit or served.context - len(prompt)
    job = await _job(served, asked, adapter, prompt, limit)
    return await _answer(request, served, job, asked, ChatForm(asked.model, served.text, prompt, scored=asked.logprobs))


async def completion(request: Request, served: Served, asked: Completion) -> Response:
    """Answer a completion."""
    adapter = served.adapters.find(asked.model)
    if isinstance(asked.prompt, str):
        prompt = await asyncio.to_thread(served.text.encode, asked.prompt, special=asked.add_special_tokens)
    else:
        prompt = asked.prompt
        if not all(0 <= token < served.vocabulary for token in prompt):
            raise invalid(f"prompt: tokens are numbers below {served.vocabulary}", param="prompt")
    if not prompt:
        raise invalid("prompt: it has no token", param="prompt")
    _check_room(served, len(prompt) + asked.max_tokens, "prompt")
    job = await _job(served, asked, adapter, prompt, asked.max_tokens)
    scored = asked.logprobs is not None
    return await _answer(
        request, served, job, asked, CompletionForm(asked.model, served.text, prompt, scored=scored, echo=asked.echo)
    )


def _check_room(served: Served, tokens: int, param: str) -> None:
    if tokens > served.context:
        detail = f"prompt and answer need {tokens} tokens, and this server's context has {served.context}"
        raise invalid(detail, "context_length_exceeded", param)


async def _job(served: Served, asked: Chat | Completion, adapter: Adapter | None, prompt: list[int], limit: int) -> Job:
    wanted = asked.response_format.model_dump(by_alias=True) if asked.response_format else None
    grammar = await asyncio.to_thread(served.grammars.of_format, wanted)
    settings: dict[str, Any] = {name: getattr(asked, name) for name in _SAMPLING}
    return Job(
        prompt=tuple(prompt),
        max_tokens=limit,
        sampling=Sampling(**{**settings, "top_k": max(0, asked.top_k)}),
        stops=asked.stops,
        stop_tokens=frozenset(asked.stop_token_ids) | (frozenset() if asked.ignore_eos else served.ends),
        logprobs=asked.scored,
        prompt_logprobs=asked.prompt_scored,
        grammar=grammar,
        adapter=adapter,
    )


async def _answer(request: Request, served: Served, job: Job, asked: Generation, form: Form) -> Response:
    events: asyncio.Queue[Event] = asyncio.Queue()
    row = served.loop.submit(job, events.put_nowait)
    heard = _heard(served, row, events)
    try:
        if not asked.stream:
            return JSONResponse(form.whole(await while_connected(request.receive, _gather(heard))))
        # The status is sent with the first event: what fails before it is an error that a client can try elsewhere.
        first = await while_connected(request.receive, heard.__anext__())
    except BaseException:
        served.loop.cancel(row)
        raise
    return EventStream(_chunks(form, first, heard, with_usage=asked.with_usage))


async def _heard(served: Served, row: Any, events: "asyncio.Queue[Event]") -> AsyncGenerator[Event]:
    """Yield a row's events to its end; whoever stops listening frees the row.

    Raises:
        Refusal: the row failed.
    """
    try:
        while True:
            event = await events.get()
            if isinstance(event, Broken):
                raise Refusal(500, event.detail, "engine_failed")
            yield event
            if isinstance(event, Ended):
                return
    finally:
        served.loop.cancel(row)


async def _gather(heard: AsyncIterator[Event]) -> Told:
    told = Told()
    parts = []
    async for event in heard:
        match event:
            case Prompted(scores):
                told.prompt = scores
            case Piece(text, scores):
                parts.append(text)
                told.tokens += scores
            case Ended():
                told.end = event
    told.text = "".join(parts)
    return told


async def _chunks(
    form: Form, first: Event, heard: AsyncGenerator[Event], *, with_usage: bool
) -> AsyncGenerator[JSONObject]:
    opening = form.opening()
    if opening is not None:
        yield opening
    try:
        async with aclosing(heard):
            event: Event | None = first
            while event is not None:
                if isinstance(event, Piece):
                    yield form.chunk(Told(event.text, list(event.scores)))
                elif isinstance(event, Ended):
                    yield form.chunk(Told(end=event))
                    if with_usage:
                        yield form.closing(event)
                event = await anext(heard, None)
    except Refusal as refusal:
        yield refusal.body()


class EventStream(Response):
    """Server-sent events, as OpenAI's streams have them; ends when the client goes."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[JSONObject]) -> None:
        self.status_code = 200
        self.background = None
        self._chunks = chunks
        self.init_headers({"Cache-Control": "no-cache"})

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks."""
        await while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": _event(orjson.dumps(chunk)), "more_body": True})
        await send({"type": "http.response.body", "body": _event(b"[DONE]"), "more_body": False})


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
