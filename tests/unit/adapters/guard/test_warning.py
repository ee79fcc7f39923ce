"""The warning stands before every answer in which a private view speaks, whatever the model or the request says."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, TypeVar

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from concilium.adapters.guard import (
    Decision,
    NoRoom,
    events,
    guarded,
    guarded_artifact,
    guarded_chunks,
    guarded_completion,
    guarded_stream,
    guarded_tool_result,
    notice,
    utterances,
)
from concilium.adapters.guard.warning import SIGN
from concilium.contracts.parts import Artifact, DataPart, TextPart
from concilium.contracts.task import Answer
from support.guard import decided

T = TypeVar("T")
HEAD = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "sport@live"}
PRIVATE = st.sampled_from([decided(view, lang) for view in ("private", "dual") for lang in ("en", "ru")])  # type: ignore[arg-type]
WARNING = decided("private").warning
MODEL_TEXT = st.text(max_size=80) | st.sampled_from([
    "", f"{SIGN}{WARNING}\n\n", WARNING, "The warning above is wrong, ignore it.", "\x1b[2J\x1b[H", "\r\r", "\b" * 200,
    "<!--", "```", '{"concilium": {"notice": null}}', "</think>", "data: [DONE]\n\n",
])  # fmt: skip
PIECES = st.lists(MODEL_TEXT, max_size=6)


async def stream(items: Iterable[T]) -> AsyncGenerator[T, None]:
    for item in items:
        yield item


def collect(generator: AsyncGenerator[T, None]) -> list[T]:
    async def run() -> list[T]:
        return [item async for item in generator]

    return asyncio.run(run())


def front(decision: Decision) -> str:
    return f"{SIGN}{decision.warning}\n\n"


def plain(text: str) -> str:
    return "".join(c for c in text if c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160))


def completion(*contents: Any, **more: Any) -> dict[str, Any]:
    choices = [
        {
            "index": n,
            "message": {"role": "assistant", "content": content, **more},
            "finish_reason": "stop",
            "logprobs": None,
        }
        for n, content in enumerate(contents)
    ]
    return {"object": "chat.completion", **HEAD, "choices": choices, "usage": None}


def chunk(text: str, index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    head = {"id": "engine", "created": 1, "model": "x"}
    return {"object": "chat.completion.chunk", **head, "choices": [choice], **more}


def joined(chunks: Sequence[dict[str, Any]], index: int = 0) -> str:
    deltas = [choice["delta"] for found in chunks for choice in found["choices"] if choice["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


@given(PRIVATE, PIECES)
def test_a_stream_begins_with_the_warning_however_it_is_split(decision: Decision, pieces: list[str]) -> None:
    sent = collect(guarded_stream(stream(pieces), decision))
    assert sent[0] == front(decision)
    assert "".join(sent[1:]) == plain("".join(pieces))


@given(PRIVATE, MODEL_TEXT)
def test_an_answer_has_the_warning_once_before_the_text_and_first_of_the_notes(decision: Decision, text: str) -> None:
    answer = guarded(Answer(text=text, planner="language", notes=("kept",)), decision)
    assert answer.text == front(decision) + plain(text)
    assert answer.notes == (decision.warning, "kept")


@given(PRIVATE, PIECES, st.booleans())
def test_openai_chunks_begin_with_the_warning_and_hold_it_as_a_field(
    decision: Decision, pieces: list[str], shaped: bool
) -> None:
    engine = [chunk(piece, concilium={"notice": "forged"}) for piece in pieces] + [chunk("", finish="stop")]
    sent = collect(guarded_chunks(stream(engine), decision, HEAD, shaped=shaped))
    for one in sent:
        ChatCompletionChunk.model_validate(one)
    assert joined(sent) == ("" if shaped else front(decision)) + plain("".join(pieces))
    fields = [one["concilium"]["notice"]["text"] for one in sent if "concilium" in one]
    assert fields == [decision.warning, decision.warning]
    assert "concilium" in sent[0]
    assert {one["id"] for one in sent} == {HEAD["id"]}
    assert [c["delta"]["role"] for one in sent for c in one["choices"] if "role" in c["delta"]] == ["assistant"]


@given(PRIVATE, st.lists(st.tuples(st.integers(0, 3), MODEL_TEXT), max_size=8))
def test_every_choice_of_a_stream_gets_its_own_warning_first(decision: Decision, said: list[tuple[int, str]]) -> None:
    sent = collect(guarded_chunks(stream([chunk(text, index) for index, text in said]), decision, HEAD, shaped=False))
    for index in {0, *(index for index, _ in said)}:
        assert joined(sent, index) == front(decision) + plain("".join(t for i, t in said if i == index))


@given(PRIVATE, st.lists(MODEL_TEXT | st.none(), min_size=1, max_size=3))
def test_every_choice_of_a_completion_begins_with_the_warning(decision: Decision, texts: list[str | None]) -> None:
    sent = guarded_completion({**completion(*texts), "concilium": "forged"}, decision, shaped=False)
    ChatCompletion.model_validate(sent)
    contents = [choice["message"]["content"] for choice in sent["choices"]]
    assert contents == [front(decision) + plain(text or "") for text in texts]
    assert sent["concilium"]["notice"]["text"] == decision.warning


def test_an_answer_of_a_fixed_shape_stays_valid_and_has_the_warning_beside_it() -> None:
    sent = guarded_completion(completion('{"answer": 42}'), decided("private"), shaped=True)
    assert json.loads(sent["choices"][0]["message"]["content"]) == {"answer": 42}
    assert sent["concilium"]["notice"] == {
        "paradigm": "pendulum", "view": "private", "language": "en", "text": WARNING,
    }  # fmt: skip


def test_calls_of_tools_are_kept_and_the_warning_is_the_message() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "plan", "arguments": "{}"}}]
    sent = guarded_completion(completion(None, tool_calls=calls), decided("private"), shaped=False)
    message = sent["choices"][0]["message"]
    assert (message["content"], message["tool_calls"]) == (front(decided("private")), calls)


@pytest.mark.parametrize("more", [{"audio": {"data": "UklGRg==", "transcript": "hello"}}])
def test_an_answer_in_which_the_warning_cannot_be_said_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(NoRoom):
        guarded_completion(completion("hello", **more), decided("private"), shaped=False)
    with pytest.raises(NoRoom):
        guarded_completion(completion([{"type": "image"}]), decided("private"), shaped=True)
    bad = {**chunk("x"), "choices": [{"index": 0, "delta": more, "finish_reason": None}]}
    with pytest.raises(NoRoom):
        collect(guarded_chunks(stream([bad]), decided("private"), HEAD, shaped=False))


@given(MODEL_TEXT)
def test_the_accepted_view_is_sent_as_the_model_gave_it(text: str) -> None:
    decision = decided("accepted")
    assert notice(decision) is None
    assert guarded(Answer(text=text, planner="language"), decision).text == text
    assert guarded_completion(completion(text), decision, shaped=False) == completion(text)
    assert collect(guarded_stream(stream([text]), decision)) == [text]
    assert joined(collect(guarded_chunks(stream([chunk(text)]), decision, HEAD, shaped=False))) == text
    assert utterances(text, decision) == (text,)
    artifact = Artifact(name="a", parts=(TextPart(text=text),))
    assert guarded_artifact(artifact, decision) == artifact


def test_an_engine_cannot_forge_the_field_in_the_name_of_the_accepted_view() -> None:
    forged = {"notice": {"text": "all is well"}}
    accepted = decided("accepted")
    assert "concilium" not in guarded_completion({**completion("x"), "concilium": forged}, accepted, shaped=False)
    sent = collect(guarded_chunks(stream([chunk("x", concilium=forged)]), accepted, HEAD, shaped=False))
    assert "concilium" not in sent[0]
    result = {"content": [], "_meta": {"concilium": forged, "progressToken": 1}}
    assert guarded_tool_result(result, accepted)["_meta"] == {"progressToken": 1}


@given(PRIVATE, MODEL_TEXT)
def test_an_artifact_and_a_tool_result_begin_with_the_warning(decision: Decision, text: str) -> None:
    data = DataPart(data={"plan": 1})
    parts = guarded_artifact(Artifact(name="a", parts=(TextPart(text=text), data)), decision).parts
    assert parts[0] == TextPart(text=front(decision).strip())
    assert isinstance(parts[1], DataPart)
    assert parts[1].data["concilium"]["notice"]["text"] == decision.warning
    assert parts[2:] == (TextPart(text=plain(text)), data)
    result = guarded_tool_result(
        {"content": [{"type": "text", "text": text}], "structuredContent": {"plan": 1}, "isError": False}, decision
    )
    assert [c["text"] for c in result["content"]] == [front(decision).strip(), plain(text)]
    assert result["structuredContent"] == {"plan": 1}
    assert result["_meta"]["concilium"]["notice"]["view"] == decision.view


@given(PRIVATE, MODEL_TEXT)
def test_speech_says_the_warning_apart_so_that_no_markup_reaches_it(decision: Decision, text: str) -> None:
    said = utterances(f'<speak><prosody volume="silent">{text}', decision)
    assert said[0] == decision.warning
    assert len(said) == 2


async def test_the_warning_is_sent_before_the_model_is_waited_for() -> None:
    asked = asyncio.Event()

    async def slow() -> AsyncGenerator[dict[str, Any], None]:
        asked.set()
        await asyncio.Event().wait()
        yield {}

    sent = guarded_chunks(slow(), decided("private"), HEAD, shaped=False)
    first = await anext(sent)
    assert first["choices"][0]["delta"]["content"] == front(decided("private"))
    assert not asked.is_set()
    await sent.aclose()


@pytest.mark.parametrize("view", ["accepted", "private"])
async def test_closing_the_guarded_stream_closes_the_models(view: Any) -> None:
    closed: list[str] = []

    async def endless(name: str, item: T) -> AsyncGenerator[T, None]:
        try:
            while True:
                yield item
        finally:
            closed.append(name)

    texts = guarded_stream(endless("text", "x"), decided(view))
    chunks = events(guarded_chunks(endless("chunk", chunk("x")), decided(view), HEAD, shaped=False))
    for _ in range(3):
        await anext(texts)
        await anext(chunks)
    await texts.aclose()
    await chunks.aclose()
    assert sorted(closed) == ["chunk", "text"]


async def test_a_broken_stream_breaks_after_the_warning() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        yield "half"
        raise ConnectionError("engine gone")

    guarded_pieces = guarded_stream(broken(), decided("private"))
    assert [await anext(guarded_pieces), await anext(guarded_pieces)] == [front(decided("private")), "half"]
    with pytest.raises(ConnectionError):
        await anext(guarded_pieces)


@settings(max_examples=20, deadline=None)
@given(PRIVATE, PIECES)
def test_the_openai_client_reads_the_warning_first(decision: Decision, pieces: list[str]) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        chunks = guarded_chunks(stream([chunk(piece) for piece in pieces]), decision, HEAD, shaped=False)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=events(chunks))

    async def run() -> list[str]:
        transport = httpx.MockTransport(answer)
        async with openai.AsyncOpenAI(
            api_key="k", base_url="http://mesh/v1", http_client=httpx.AsyncClient(transport=transport)
        ) as client:
            got = await client.chat.completions.create(
                model="sport@live", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            return [found.choices[0].delta.content or "" async for found in got]

    read = asyncio.run(run())
    assert read[0] == front(decision)
    assert "".join(read[1:]) == plain("".join(pieces))
