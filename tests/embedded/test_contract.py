"""What every engine keeps, asked with OpenAI's own client: run against each server of the fixture `engine`."""

import asyncio
import json
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from embedded.conftest import Engine
from support.embedded.words import ADAPTERS, PROMPTS

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
CHAT: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what does the fox say?"}]


async def admin(engine: Engine, path: str, body: dict[str, Any], *, secret: str | None = None) -> tuple[int, str]:
    """Call one of vLLM's own routes."""
    headers = {"Authorization": f"Bearer {secret or engine.secret}"}
    async with aiohttp.ClientSession(engine.url, headers=headers) as session, session.post(path, json=body) as answer:
        return answer.status, await answer.text()


async def greedy(client: AsyncOpenAI, model: str, prompt: str, tokens: int = 16) -> str:
    """Return the likeliest continuation."""
    made = await client.completions.create(
        model=model, prompt=prompt, max_tokens=tokens, temperature=0, extra_body={"ignore_eos": True}
    )
    return made.choices[0].text


async def test_lists_the_base_model_and_its_adapters(client: AsyncOpenAI, engine: Engine) -> None:
    for name in ADAPTERS:
        await admin(engine, "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(engine.adapters / name)})
    cards = {card.id: card.model_dump() for card in (await client.models.list()).data}
    assert {engine.model, *ADAPTERS} <= set(cards)
    assert cards["red"]["parent"] == engine.model
    assert cards["red"]["root"] == str(engine.adapters / "red")


async def test_a_stream_says_what_the_whole_answer_says(client: AsyncOpenAI, engine: Engine) -> None:
    options: Any = {"model": engine.model, "messages": CHAT, "max_tokens": 20, "temperature": 0}
    whole = await client.chat.completions.create(**options)
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            **options, stream=True, stream_options={"include_usage": True}
        )
    ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


async def test_max_tokens_ends_an_answer(client: AsyncOpenAI, engine: Engine) -> None:
    made = await client.completions.create(
        model=engine.model, prompt="the", max_tokens=5, temperature=0, extra_body={"ignore_eos": True}
    )
    assert made.choices[0].finish_reason == "length"
    assert made.usage is not None
    assert made.usage.completion_tokens == 5


async def test_a_stop_string_ends_an_answer_and_is_not_in_it(client: AsyncOpenAI, engine: Engine) -> None:
    text = await greedy(client, engine.model, PROMPTS[0], 24)
    stop = text[5:8]
    options: Any = {"model": engine.model, "prompt": PROMPTS[0], "max_tokens": 24, "temperature": 0, "stop": [stop]}
    made = await client.completions.create(**options, extra_body={"ignore_eos": True})
    assert made.choices[0].text == text[: text.index(stop)]
    assert made.choices[0].finish_reason == "stop"
    stream = await client.completions.create(**options, stream=True, extra_body={"ignore_eos": True})
    assert "".join([chunk.choices[0].text async for chunk in stream]) == made.choices[0].text


async def test_a_seed_repeats_an_answer(client: AsyncOpenAI, engine: Engine) -> None:
    async def said(seed: int) -> str:
        made = await client.completions.create(
            model=engine.model, prompt="the", max_tokens=24, temperature=1.2, top_p=0.95, seed=seed
        )
        return made.choices[0].text

    first = await said(1)
    assert await said(1) == first
    assert {await said(seed) for seed in range(2, 6)} != {first}


async def test_logprobs_are_told_for_each_token(client: AsyncOpenAI, engine: Engine) -> None:
    made = await client.chat.completions.create(
        model=engine.model, messages=CHAT, max_tokens=6, temperature=0, logprobs=True, top_logprobs=3
    )
    told = made.choices[0].logprobs
    assert told is not None
    assert told.content
    assert made.usage is not None
    assert len(told.content) == made.usage.completion_tokens
    for token in told.content:
        assert len(token.top_logprobs) == 3
        assert token.logprob == pytest.approx(max(top.logprob for top in token.top_logprobs), abs=1e-4)


async def test_the_logprobs_of_a_given_text_are_told(client: AsyncOpenAI, engine: Engine) -> None:
    """How a stored continuation is probed: it is echoed, and nothing that is generated counts."""
    text = await greedy(client, engine.model, PROMPTS[0], 12)
    made = await client.completions.create(
        model=engine.model, prompt=PROMPTS[0] + text, max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    told = made.choices[0].logprobs
    assert told is not None
    assert told.token_logprobs
    assert told.token_logprobs[0] is None
    assert all(each is not None and each <= 0 for each in told.token_logprobs[1:])
    asked = await client.completions.create(
        model=engine.model, prompt=PROMPTS[0] + text, max_tokens=1, temperature=0, extra_body={"prompt_logprobs": 1}
    )
    by_token = (asked.choices[0].model_extra or {})["prompt_logprobs"]
    assert by_token[0] is None
    assert asked.usage is not None
    assert len(by_token) == asked.usage.prompt_tokens
    own = [next(iter(each.values()))["logprob"] for each in by_token[1:]]
    assert own == pytest.approx(told.token_logprobs[1 : len(by_token)], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
async def test_an_answer_keeps_to_its_schema(client: AsyncOpenAI, engine: Engine, seed: int) -> None:
    made = await client.chat.completions.create(
        model=engine.model,
        messages=CHAT,
        max_tokens=80,
        seed=seed,
        response_format={"type": "json_schema", "json_schema": {"name": "toy", "schema": SCHEMA, "strict": True}},
    )
    said = json.loads(made.choices[0].message.content or "")
    assert said["colour"] in {"red", "green"}
    assert 0 <= said["count"] <= 99
    assert made.choices[0].finish_reason == "stop"


async def test_tokens_are_counted_as_they_are_charged(client: AsyncOpenAI, engine: Engine) -> None:
    _, text = await admin(engine, "/tokenize", {"model": engine.model, "prompt": PROMPTS[2]})
    told = json.loads(text)
    made = await client.completions.create(model=engine.model, prompt=told["tokens"], max_tokens=1)
    assert made.usage is not None
    assert made.usage.prompt_tokens == told["count"] == len(told["tokens"])
    _, text = await admin(engine, "/tokenize", {"model": engine.model, "messages": CHAT})
    chat = await client.chat.completions.create(model=engine.model, messages=CHAT, max_tokens=1)
    assert chat.usage is not None
    assert chat.usage.prompt_tokens == json.loads(text)["count"]


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="nobody", messages=CHAT)


async def test_a_wrong_key_is_refused(engine: Engine) -> None:
    async with AsyncOpenAI(base_url=f"{engine.url}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
    assert (await admin(engine, "/v1/unload_lora_adapter", {"lora_name": "red"}, secret="wrong"))[0] == 401


async def test_an_answer_longer_than_the_context_is_refused(client: AsyncOpenAI, engine: Engine) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model=engine.model, messages=CHAT, max_tokens=1_000_000)


async def test_an_adapter_is_loaded_replaced_and_unloaded(client: AsyncOpenAI, engine: Engine) -> None:
    def body(source: str, *, inplace: bool = False) -> dict[str, Any]:
        return {"lora_name": "guest", "lora_path": str(engine.adapters / source), "load_inplace": inplace}

    base = await greedy(client, engine.model, PROMPTS[0])
    assert (await admin(engine, "/v1/load_lora_adapter", body("red")))[0] == 200
    red = await greedy(client, "guest", PROMPTS[0])
    assert red != base
    assert (await admin(engine, "/v1/load_lora_adapter", body("blue")))[0] == 400
    assert await greedy(client, "guest", PROMPTS[0]) == red
    assert (await admin(engine, "/v1/load_lora_adapter", body("blue", inplace=True)))[0] == 200
    blue = await greedy(client, "guest", PROMPTS[0])
    assert blue not in {red, base}
    assert (await admin(engine, "/v1/unload_lora_adapter", {"lora_name": "guest"}))[0] == 200
    with pytest.raises(openai.NotFoundError):
        await greedy(client, "guest", PROMPTS[0])
    assert (await admin(engine, "/v1/unload_lora_adapter", {"lora_name": "guest"}))[0] == 404
    assert await greedy(client, engine.model, PROMPTS[0]) == base


async def test_an_adapter_that_is_not_there_is_not_loaded(client: AsyncOpenAI, engine: Engine) -> None:
    missing = {"lora_name": "ghost", "lora_path": str(engine.adapters / "nowhere")}
    assert (await admin(engine, "/v1/load_lora_adapter", missing))[0] in {400, 404}
    assert "ghost" not in {card.id for card in (await client.models.list()).data}


async def test_adapters_in_one_batch_answer_as_they_do_alone(client: AsyncOpenAI, engine: Engine) -> None:
    asked = [(model, prompt) for prompt in PROMPTS[:2] for model in (engine.model, "red", "green", "blue")]
    alone = [await greedy(client, model, prompt) for model, prompt in asked]
    assert len(set(alone)) == len(asked)
    together = await asyncio.gather(*(greedy(client, model, prompt) for model, prompt in asked))
    assert list(together) == alone
