"""The warning in OpenAI's shapes, ``chat.completion`` and ``chat.completion.chunk``, and in MCP's tool result.

An answer in free text begins with the warning. An answer whose shape the caller fixed (``response_format``) is not
touched: there the warning is beside it. In both, the member ``concilium.notice`` holds it; what an engine says under
``concilium`` is dropped.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson

from concilium.adapters.guard.paradigm import Decision
from concilium.adapters.guard.warning import field, lead, visible
from concilium.contracts.base import JSON

_OURS = "concilium"
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


class NoRoom(ValueError):
    """The answer has a form in which the warning cannot be said first; it must not be sent."""


def guarded_completion(completion: dict[str, JSON], decision: Decision, *, shaped: bool) -> dict[str, JSON]:
    """Return a ``chat.completion`` with its warning in each choice and as a field.

    Args:
        completion: what the engine answered; it is not changed.
        decision: of the guard.
        shaped: whether the request fixed the answer's shape (``response_format`` ``json_schema`` or ``json_object``).

    Raises:
        NoRoom: a choice holds audio, or content that is no text.
    """
    bare = {key: value for key, value in completion.items() if key != _OURS}
    if not decision.private:
        return bare
    choices = [{**c, "message": _message(c["message"], decision, shaped=shaped)} for c in completion["choices"]]
    return {**bare, "choices": choices, **field(decision)}


def _message(message: dict[str, JSON], decision: Decision, *, shaped: bool) -> dict[str, JSON]:
    cleaned = _clean(message)
    if shaped:
        return cleaned
    return {**cleaned, "content": lead(decision) + (cleaned.get("content") or "")}


def _clean(message: dict[str, JSON]) -> dict[str, JSON]:
    """Return a message or delta without control characters. Raises `NoRoom`."""
    if message.get("audio") or not isinstance(message.get("content") or "", str):
        raise NoRoom("an answer of a private view holds audio, or content that is no text")
    texts = {key: visible(message[key]) for key in _TEXTS if isinstance(message.get(key), str)}
    return {**message, **texts}


async def guarded_chunks(
    chunks: AsyncGenerator[dict[str, JSON], None], decision: Decision, head: dict[str, JSON], *, shaped: bool
) -> AsyncGenerator[dict[str, JSON], None]:
    """Yield ``chat.completion.chunk`` objects: the warning first, before the model is waited for, then the model's.

    A further choice gets its warning before its own first piece. The field is in each chunk that holds a warning and in
    each that ends a choice. Closing this generator closes the engine's.

    Args:
        chunks: of the engine, parsed.
        decision: of the guard.
        head: ``id``, ``created`` and ``model`` of the stream; they take the place of the engine's.
        shaped: as in `guarded_completion`.

    Raises:
        NoRoom: a chunk holds audio, or content that is no text.
    """
    async with aclosing(chunks):
        if not decision.private:
            async for chunk in chunks:
                yield {key: value for key, value in chunk.items() if key != _OURS} | head
            return
        begun = {0}
        yield _opening(0, decision, head, shaped=shaped)
        async for chunk in chunks:
            choices = chunk.get("choices") or []
            for index in dict.fromkeys(choice["index"] for choice in choices):
                if index not in begun:
                    begun.add(index)
                    yield _opening(index, decision, head, shaped=shaped)
            yield _carried(chunk, choices, decision, head)


def _opening(index: int, decision: Decision, head: dict[str, JSON], *, shaped: bool) -> dict[str, JSON]:
    delta = {"role": "assistant", "content": "" if shaped else lead(decision)}
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    return {"object": "chat.completion.chunk", **head, "choices": [choice], **field(decision)}


def _carried(
    chunk: dict[str, JSON], choices: list[dict[str, JSON]], decision: Decision, head: dict[str, JSON]
) -> dict[str, JSON]:
    bare = {key: value for key, value in chunk.items() if key != _OURS}
    # Clients join strings of deltas: a role said twice would become "assistantassistant".
    deltas = [{k: v for k, v in _clean(c.get("delta") or {}).items() if k != "role"} for c in choices]
    ends = any(choice.get("finish_reason") for choice in choices)
    carried = [{**choice, "delta": delta} for choice, delta in zip(choices, deltas, strict=True)]
    return {**bare, **head, "choices": carried, **(field(decision) if ends else {})}


async def events(chunks: AsyncGenerator[dict[str, JSON], None]) -> AsyncGenerator[bytes, None]:
    """Yield chunks as server-sent events, and ``[DONE]``."""
    async with aclosing(chunks):
        async for chunk in chunks:
            yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        yield b"data: [DONE]\n\n"


def guarded_tool_result(result: dict[str, JSON], decision: Decision) -> dict[str, JSON]:
    """Return an MCP ``CallToolResult`` with the warning as its first content; ``structuredContent`` is not touched.

    The field is in ``_meta`` (MCP 2025-06-18, "General fields"), where a closed output schema does not reach.
    """
    meta = {key: value for key, value in (result.get("_meta") or {}).items() if key != _OURS}
    if not decision.private:
        return {**result, "_meta": meta} if "_meta" in result else result
    texts = [{**c, "text": visible(c["text"])} if isinstance(c.get("text"), str) else c for c in result["content"]]
    first = {"type": "text", "text": lead(decision).strip()}
    return {**result, "content": [first, *texts], "_meta": {**meta, **field(decision)}}
