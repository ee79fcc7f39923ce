"""A streamed chat completion: events become deltas, thoughts and answer apart, tool calls put together."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from concilium.contracts.base import JSON
from concilium.contracts.limits import MIB
from concilium.engine.chat import Completion, TokenUse, reasoning_of, text_of, use_of
from concilium.engine.errors import EngineError, is_code
from concilium.engine.messages import ToolCall
from concilium.engine.sse import Events
from concilium.engine.thinking import ThinkSplitter
from concilium.engine.transport import Limit, drain

STREAM_BYTES = 64 * MIB
"""Largest stream accepted."""
CALLS_MAX = 64
"""Tool calls of one answer."""
_DONE = b"[DONE]"
_OF_ITSELF = ("stop", "tool_calls")


@dataclass(frozen=True, slots=True)
class Delta:
    """What came anew. The last one alone has a ``finish_reason``, the tool calls and, where counted, the usage.

    When a model that was asked to think did not, the last one brings the whole answer as ``content``: only then is it
    known that what came as ``reasoning_content`` was no thought.
    """

    content: str = ""
    reasoning_content: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUse | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for the first token, for each further one, and for all of them."""

    first_s: float
    next_s: float
    limit: Limit


class Answer:
    """An answer as it comes in. Not for reuse."""

    def __init__(self, thinking: bool | None) -> None:
        self._asked_to_think = thinking
        self._splitter = ThinkSplitter(thinking)
        self._server_splits = False
        self._untagged: list[str] = []
        """What was taken for thoughts without a sign of it."""
        self._thought = 0
        self._calls: dict[int, _OpenCall] = {}
        self.finish_reason: str | None = None
        self.usage: TokenUse | None = None
        self._thinks = False
        self.begun = False
        """The model has said, thought or called something."""

    @property
    def thinking_tokens(self) -> int:
        """Tokens it has thought so far, if it is still thinking, else 0: as the engine counts them, else the chunks."""
        if not self._thinks:
            return 0
        return max(self._thought, self.usage.output_tokens if self.usage else 0)

    @property
    def did_not_think(self) -> bool:
        """Whether a model that was asked to think just answered: no tag came, and it ended of itself."""
        signs = self._server_splits or self._splitter.tagged or not self._untagged
        return bool(self._asked_to_think) and not signs and self.finish_reason in _OF_ITSELF

    def take(self, chunk: JSON) -> Delta:
        """Return what a chunk adds. Raises `EngineError` when it is none, or reports an error."""
        if isinstance(chunk, dict) and chunk.get("error"):
            raise _reported(chunk["error"])
        try:
            self.usage = use_of(chunk) or self.usage
            choices: Any = chunk["choices"]
            return self._choice(choices[0]) if choices else Delta()
        except (LookupError, TypeError, AttributeError) as error:
            raise EngineError("garbage", "the stream holds something else than chat completion chunks") from error

    def end(self) -> Delta:
        """Return the last delta. Raises `EngineError` when the answer had not come to its end."""
        if self.finish_reason is None:
            raise EngineError("garbage", "the stream ended before the answer did")
        thought, said = self._splitter.end()
        if self.did_not_think:
            thought, said = "", "".join(self._untagged)
        calls = tuple(self._calls[index].whole() for index in sorted(self._calls))
        return Delta(said, thought, self.finish_reason, calls, self.usage)

    def _choice(self, choice: JSON) -> Delta:
        finish = choice.get("finish_reason")
        if finish is not None:
            self.finish_reason = text_of(finish)
        delta: Any = choice.get("delta") or {}
        for raw in delta.get("tool_calls") or ():
            self._call(raw)
        thought, said = reasoning_of(delta), text_of(delta.get("content"))
        self._server_splits = self._server_splits or bool(thought)
        self.begun = self.begun or bool(thought or said or self._calls)
        if said and not self._server_splits:
            if self._asked_to_think and not self._splitter.tagged:
                self._untagged.append(said)
            more, said = self._splitter.feed(said)
            thought += more
        self._thinks = bool(thought) or (self._thinks and not said)
        self._thought += bool(thought)
        return Delta(said, thought)

    def _call(self, raw: JSON) -> None:
        """Add a part of a tool call; servers send its id and name once and the arguments in pieces."""
        index = raw["index"]
        if type(index) is not int or not 0 <= index < CALLS_MAX:
            raise EngineError("garbage", f"the stream holds a tool call outside 0 to {CALLS_MAX - 1}")
        call = self._calls.setdefault(index, _OpenCall())
        function = raw.get("function") or {}
        call.id = call.id or text_of(raw.get("id"))
        call.name = call.name or text_of(function.get("name"))
        call.arguments.append(text_of(function.get("arguments")))


@dataclass(slots=True)
class _OpenCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        if not self.name:
            raise EngineError("garbage", "the stream holds a tool call without a name")
        return ToolCall(self.id, self.name, "".join(self.arguments))


async def deltas(
    response: aiohttp.ClientResponse, answer: Answer, patience: Patience, began: float
) -> AsyncGenerator[Delta]:
    """Yield what an answer's chunks add, those that add nothing left out, and the end.

    Args:
        response: whose head has come.
        answer: takes the chunks.
        patience: time limits.
        began: ``time.monotonic()`` when the request was sent.

    Raises:
        EngineError: ``garbage``, ``timeout`` or ``refused``; or as `transport.failures`, inside which this runs.
    """
    if response.content_type != "text/event-stream":
        raise EngineError("garbage", "the answer is no event stream; can the server stream?")
    events, size, wait_s = Events(), 0, patience.first_s
    until = began + wait_s
    while True:
        chunk = await _chunk(response, patience, until, wait_s)
        size += len(chunk)
        if size > STREAM_BYTES:
            raise EngineError("garbage", f"the stream is larger than {STREAM_BYTES} bytes")
        for data in events.feed(chunk):
            if data == _DONE:
                yield answer.end()
                await drain(response)
                return
            delta = answer.take(_json(data))
            wait_s = patience.next_s if answer.begun else patience.first_s
            until = time.monotonic() + wait_s
            if delta.content or delta.reasoning_content:
                yield delta
        if not chunk:
            yield answer.end()  # some servers leave out [DONE]
            return


def completion(parts: list[Delta]) -> Completion:
    """Return the whole answer of its deltas."""
    last = parts[-1]
    content = "".join(part.content for part in parts)
    thoughts = "".join(part.reasoning_content for part in parts)
    if last.content == content == thoughts:  # taken for thoughts as it came, and then known for the answer
        thoughts = ""
    return Completion(content, thoughts, last.tool_calls, last.finish_reason or "stop", last.usage)


async def _chunk(response: aiohttp.ClientResponse, patience: Patience, until: float, wait_s: float) -> bytes:
    """Return the next bytes; none at the end. What counts is when the last whole event came, not the last byte."""
    left = min(until, patience.limit.until) - time.monotonic()
    try:
        async with asyncio.timeout(max(left, 0)):
            return await response.content.readany()
    except TimeoutError as error:
        if patience.limit.left_s <= 0:
            raise EngineError("timeout", f"no whole answer within {patience.limit.seconds:g} s") from error
        raise EngineError("timeout", f"no token within {wait_s:g} s") from error


def _json(data: bytes) -> JSON:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise EngineError("garbage", "the stream holds an event that is not JSON") from error


def _reported(error: JSON) -> EngineError:
    """Return an error that the engine reports inside its stream, without its message, which may quote the request."""
    found = error if isinstance(error, dict) else {}
    code = found.get("code")
    status = code if type(code) is int and 400 <= code < 600 else 500
    kind = str(found.get("type") or "")
    return EngineError("refused", "the engine broke off" + (f" ({kind})" if is_code(kind) else ""), status)
