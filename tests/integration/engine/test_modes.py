"""Modes over the real protocol: what is sent, thoughts apart, budgets kept, contexts respected."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from concilium.contracts.modes import Mode, ModelsConfig
from concilium.engine import Chat, Delta, EngineClient, EngineError, Message, Meter, metered
from concilium.engine.conversation import GRACE_TOKENS
from concilium.engine.thinking import cut_short
from support.chat_server import (
    MODELS,
    ChatServer,
    Handler,
    begin,
    chunk,
    counted,
    event,
    refuses,
    says,
    serving,
    streams,
    whole,
)

ASKED: list[Message] = [{"role": "user", "content": "What is 2 + 2?"}]
BUDGET = 10


def with_mode(**values: Any) -> ModelsConfig:
    """Return the shipped modes with another ``think``."""
    mode = Mode(**(MODELS.modes["think"].model_dump() | {"thinking_budget": BUDGET} | values))
    return MODELS.model_copy(update={"modes": {**MODELS.modes, "think": mode}})


THINK = with_mode()


@contextlib.asynccontextmanager
async def asking(handler: Handler, models: ModelsConfig = THINK) -> AsyncIterator[tuple[EngineClient, ChatServer]]:
    async with serving(handler) as server, EngineClient(server.config(), models) as client:
        yield client, server


async def deltas(client: EngineClient, **chat: Any) -> list[Delta]:
    async with client.stream(Chat(ASKED, **chat)) as coming:
        return [delta async for delta in coming]


def joined(found: list[Delta]) -> tuple[str, str]:
    return "".join(d.reasoning_content for d in found), "".join(d.content for d in found)


async def test_a_mode_sets_sampling_thinking_and_limits() -> None:
    async with asking(says("<think>", "hm", "</think>", "4")) as (client, server):
        await deltas(client, mode="think")
    (body,) = server.seen
    assert (body["temperature"], body["top_p"], body["top_k"], body["min_p"]) == (0.6, 0.95, 20, 0.0)
    assert body["chat_template_kwargs"] == {"enable_thinking": True}
    assert body["thinking_token_budget"] == BUDGET
    assert body["max_tokens"] == 4096 + BUDGET
    assert "num_experts_per_tok" not in body


async def test_experts_are_sent_when_the_mode_says_how_many_and_a_request_may_only_lower_max_tokens() -> None:
    async with asking(says("4"), with_mode(thinking=False, thinking_budget=0, experts_per_token=4)) as (client, server):
        await client.complete(Chat(ASKED, mode="think", max_tokens=7))
        await client.complete(Chat(ASKED, mode="think", max_tokens=10**6))
    assert [body["num_experts_per_tok"] for body in server.seen] == [4, 4]
    assert [body["max_tokens"] for body in server.seen] == [7, 4096]
    assert "thinking_token_budget" not in server.seen[0]


async def test_the_purpose_decides_where_no_mode_is_named_and_the_mode_is_told_to_whoever_counts() -> None:
    meter = Meter()
    async with asking(says("4")) as (client, server):
        with metered(meter):
            assert await client.chat(ASKED, max_tokens=5, purpose="brain.plan") == "4"
            assert meter.mode == "fast"
            await deltas(client, purpose="unknown.purpose")
    assert meter.mode == "dialogue"
    assert [body["temperature"] for body in server.seen] == [0.0, 0.7]
    assert server.seen[0]["chat_template_kwargs"] == {"enable_thinking": False}


THOUGHT = [
    says("<think>", "two and ", "two", "</think>\n\n", "4"),
    says("<thi", "nk>two and two</th", "ink>4"),
    says("two and ", "two</think>4"),
    streams(chunk(reasoning_content="two and "), chunk(reasoning_content="two"), chunk("4"), chunk(finish="stop")),
    streams(chunk(reasoning="two and two"), chunk("4"), chunk(finish="stop")),
]


@pytest.mark.parametrize("handler", THOUGHT)
async def test_thoughts_come_apart_whoever_splits_them(handler: Handler) -> None:
    async with asking(handler) as (client, _server):
        found = await deltas(client, mode="think")
        complete = await client.complete(Chat(ASKED, mode="think"))
    assert joined(found) == ("two and two", "4")
    assert (complete.reasoning_content, complete.content) == ("two and two", "4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<think>\nhm</think>\n\n4", {}),
        ("\nhm</think>4", {}),
        ("4", {"reasoning_content": "\nhm"}),
        ("4", {"reasoning": "\nhm"}),
    ],
)
async def test_thoughts_of_a_whole_answer_come_apart_in_a_chat_that_did_not_ask_for_them(
    text: str, message: Any
) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return whole(text, **message)

    async with serving(handle) as server, EngineClient(server.config()) as client:
        found = await client.complete(Chat(ASKED))
        assert await client.chat(ASKED, max_tokens=5) == "4"
    assert (found.reasoning_content, found.content) == ("\nhm", "4")


async def test_a_server_that_splits_may_say_the_word_in_its_answer() -> None:
    handler = streams(chunk(reasoning="hm"), chunk("Write <think> first"), chunk(finish="stop"))
    async with asking(handler) as (client, _server):
        assert joined(await deltas(client, mode="think")) == ("hm", "Write <think> first")


async def test_a_short_thought_that_is_also_the_answer_stays_a_thought() -> None:
    async with asking(says("<think>4", "</think>4")) as (client, _server):
        found = await client.complete(Chat(ASKED, mode="think"))
    assert (found.reasoning_content, found.content) == ("4", "4")


async def test_a_mode_cannot_be_asked_of_a_client_that_knows_none() -> None:
    async with serving(says("4")) as server, EngineClient(server.config()) as client:
        with pytest.raises(ValueError, match="no modes"):
            await client.complete(Chat(ASKED, mode="think"))


async def test_an_answer_of_thoughts_alone_is_empty() -> None:
    async with asking(says("<think>", "hm")) as (client, _server):
        assert await client.chat(ASKED, max_tokens=5) == ""
        assert joined(await deltas(client, mode="think")) == ("hm", "")


async def test_a_model_that_was_asked_to_think_and_did_not_has_answered_all_the_same() -> None:
    async with asking(says("4 ", "of course")) as (client, _server):
        first, later = await deltas(client, mode="think"), await deltas(client, mode="think")
    async with asking(says("4 ", "of course")) as (client, _server):
        whole_answer = await client.complete(Chat(ASKED, mode="think"))
    assert first[-1].content == "4 of course", "nobody can know before its end"
    assert joined(later) == ("", "4 of course"), "from then on it is known"
    assert (whole_answer.reasoning_content, whole_answer.content) == ("", "4 of course")


async def test_thoughts_that_were_cut_off_before_any_tag_are_no_answer() -> None:
    async with asking(streams(chunk("two and"), chunk(finish="length"))) as (client, _server):
        assert joined(await deltas(client, mode="think")) == ("two and", "")


def thinks_without_end(*, knows_budget: bool, tagged: bool) -> Handler:
    """Return a handler that thinks until it is stopped, and answers a message that its thoughts were cut short."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body.get("continue_final_message"):
            return await says("So: ", "4")(request)
        if "thinking_token_budget" in body and not knows_budget:
            return await refuses(400)(request)
        response = await begin(request)
        if tagged:
            await response.write(event(chunk("<think>")))
        for number in range(10_000):
            thought = f"{number} "
            await response.write(event(chunk(thought) if tagged else chunk(reasoning=thought)))
        return response

    return handle


@pytest.mark.parametrize("tagged", [True, False])
async def test_a_model_that_thinks_beyond_its_budget_is_stopped_and_told_to_answer(tagged: bool) -> None:
    async with asking(thinks_without_end(knows_budget=False, tagged=tagged)) as (client, server):
        found = await deltas(client, mode="think")
        again = await client.complete(Chat(ASKED, mode="think"))
    thought = "".join(f"{number} " for number in range(BUDGET))
    assert joined(found) == (thought, "So: 4")
    assert (again.reasoning_content, again.content, again.finish_reason) == (thought, "So: 4", "stop")
    refused, first, rest, *later = server.seen
    assert ("thinking_token_budget" in refused, "thinking_token_budget" in first) == (True, False)
    assert rest["messages"] == [*ASKED, {"role": "assistant", "content": cut_short(thought)}]
    assert (rest["add_generation_prompt"], rest["continue_final_message"]) == (False, True)
    assert rest["chat_template_kwargs"] == {"enable_thinking": False}
    assert rest["max_tokens"] == 4096
    assert len(later) == 2, "that the server refuses the budget is remembered"


async def test_a_server_that_takes_the_budget_and_does_not_keep_it_is_stopped_a_little_later() -> None:
    async with asking(thinks_without_end(knows_budget=True, tagged=False)) as (client, server):
        thought, said = joined(await deltas(client, mode="think"))
    assert len(thought.split()) == BUDGET + GRACE_TOKENS
    assert said == "So: 4"
    assert len(server.seen) == 2


async def test_tokens_of_thoughts_are_those_that_the_engine_counts_where_it_does() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body.get("continue_final_message"):
            return await says("4")(request)
        assert body["stream_options"]["continuous_usage_stats"]
        many = [
            chunk(reasoning="a lot ") | counted(3, 40 * n) | {"choices": chunk(reasoning="a lot ")["choices"]}
            for n in (1, 2)
        ]
        return await streams(*many, chunk("never"), chunk(finish="stop"))(request)

    async with asking(handle) as (client, _server):
        assert joined(await deltas(client, mode="think")) == ("a lot a lot ", "4")


async def test_a_schema_holds_for_the_answer_after_the_thoughts() -> None:
    async with asking(thinks_without_end(knows_budget=False, tagged=False)) as (client, server):
        await client.complete(Chat(ASKED, mode="think", schema={"type": "object"}))
    assert server.seen[-1]["response_format"]["json_schema"]["schema"] == {"type": "object"}


async def test_a_server_that_knows_openais_members_alone_is_asked_with_those_from_then_on() -> None:
    own = {"model", "messages", "max_tokens", "temperature", "top_p", "presence_penalty", "response_format"}

    async def strict(request: web.Request) -> web.StreamResponse:
        unknown = set(await request.json()) - own
        return await (refuses(400) if unknown else says("4"))(request)

    async with asking(strict) as (client, server):
        for _ in range(2):
            assert (await client.complete(Chat(ASKED, mode="dialogue"))).content == "4"
    assert len(server.seen) == 3


async def test_what_a_server_refuses_in_every_form_is_refused() -> None:
    async with asking(refuses(400)) as (client, server):
        with pytest.raises(EngineError, match=r"refused: HTTP 400 \(test\)"):
            await client.complete(Chat(ASKED, mode="dialogue"))
    assert len(server.seen) == 2, "one form with extensions, one without"


def counts(tokens: int) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/tokenize":
            return web.json_response({"count": tokens})
        return await says("4")(request)

    return handle


LONG: list[Message] = [{"role": "user", "content": "длинно " * 10_000}]


async def test_a_prompt_that_leaves_no_room_is_refused_before_the_engine_works_on_it() -> None:
    async with asking(counts(40_000)) as (client, server):
        with pytest.raises(
            EngineError, match="the prompt has 40000 tokens and the mode 'dialogue' leaves 30720 for it"
        ):
            await client.complete(Chat(LONG))
    assert not server.seen


async def test_a_long_prompt_that_fits_is_sent_and_so_is_one_that_the_server_cannot_count() -> None:
    async def no_counting(request: web.Request) -> web.StreamResponse:
        return await (refuses(404) if request.path == "/tokenize" else says("4"))(request)

    for handler in (counts(20_000), no_counting):
        async with asking(handler) as (client, _server):
            assert (await client.complete(Chat(LONG))).content == "4"
