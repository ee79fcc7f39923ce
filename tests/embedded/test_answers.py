"""What is answered is what transformers' own generate answers, whatever else is in the batch."""

import asyncio
import random
from typing import Any

import pytest
from openai import AsyncOpenAI

from support.embedded.server import EmbeddedServer
from support.embedded.words import ADAPTERS, GENERATED, PROMPTS

MODELS = ("tiny", *ADAPTERS)


async def continued(client: AsyncOpenAI, model: str, prompt: Any, **options: Any) -> str:
    """Return a continuation of `GENERATED` tokens, greedy unless the options say otherwise."""
    settings: dict[str, Any] = {"max_tokens": GENERATED, "temperature": 0, **options}
    made = await client.completions.create(model=model, prompt=prompt, **settings, extra_body={"ignore_eos": True})
    return made.choices[0].text


@pytest.mark.parametrize("model", MODELS)
async def test_answers_as_generate_does_with_the_adapter_merged(
    client: AsyncOpenAI, expected: dict[str, Any], model: str
) -> None:
    for wanted in expected["" if model == "tiny" else model]:
        assert await continued(client, model, wanted["prompt"]) == wanted["text"]


@pytest.mark.parametrize("model", MODELS)
async def test_tells_the_log_probabilities_of_the_merged_model(
    client: AsyncOpenAI, expected: dict[str, Any], model: str
) -> None:
    for prompt, wanted in zip(PROMPTS, expected["" if model == "tiny" else model], strict=True):
        made = await client.completions.create(
            model=model, prompt=prompt + wanted["text"], max_tokens=0, echo=True, logprobs=0
        )
        told = made.choices[0].logprobs
        assert made.choices[0].text == prompt + wanted["text"]
        assert told is not None
        assert told.token_logprobs
        if wanted["same_tokens"]:  # else its text is written with other ones
            assert told.token_logprobs[1:] == pytest.approx(wanted["logprobs"], abs=2e-3)


async def test_rows_that_join_and_leave_at_any_token_do_not_change_each_other(
    client: AsyncOpenAI, expected: dict[str, Any]
) -> None:
    chance = random.Random(5)
    asked = [(model, at) for at in range(len(PROMPTS)) for model in MODELS for _ in range(2)]
    chance.shuffle(asked)
    four = asyncio.Semaphore(8)  # twice as many as there are slots: half of them wait

    async def ask(model: str, at: int, tokens: int) -> None:
        wanted = expected["" if model == "tiny" else model][at]
        async with four:
            said = await continued(client, model, wanted["prompt"], max_tokens=tokens)
        assert wanted["text"].startswith(said)
        assert tokens < GENERATED or said == wanted["text"]

    await asyncio.gather(*(ask(model, at, chance.randint(1, GENERATED)) for model, at in asked))


async def test_a_seeded_answer_is_the_same_alone_and_in_company(client: AsyncOpenAI) -> None:
    wishes: list[dict[str, Any]] = [
        {"temperature": 1.0},
        {"temperature": 1.3, "top_p": 0.8},
        {"temperature": 0.7, "extra_body": {"ignore_eos": True, "top_k": 20}},
        {"temperature": 1.5, "extra_body": {"ignore_eos": True, "min_p": 0.1}},
        {"temperature": 1.0, "presence_penalty": 1.5, "frequency_penalty": 0.5},
        {"temperature": 0, "extra_body": {"ignore_eos": True, "repetition_penalty": 1.3}},
    ]

    async def ask(at: int, wish: dict[str, Any]) -> str:
        made = await client.completions.create(model="tiny", prompt=PROMPTS[0], max_tokens=20, seed=at, **wish)
        return made.choices[0].text

    alone = [await ask(at, wish) for at, wish in enumerate(wishes)]
    assert len(set(alone)) == len(alone)
    for _ in range(3):
        assert await asyncio.gather(*(ask(at, wish) for at, wish in enumerate(wishes))) == alone


async def test_penalties_and_top_k_change_what_is_chosen(client: AsyncOpenAI, server: EmbeddedServer) -> None:
    plain = await continued(client, "blue", PROMPTS[0])
    made = await client.completions.create(
        model="blue", prompt=PROMPTS[0], max_tokens=GENERATED, temperature=0, frequency_penalty=2, logprobs=0
    )
    told = made.choices[0].logprobs
    assert told is not None
    assert told.tokens is not None
    assert made.choices[0].text != plain
    assert max(map(told.tokens.count, told.tokens)) < GENERATED // 3
    body = {"model": "tiny", "prompt": PROMPTS[0], "max_tokens": GENERATED, "temperature": 2, "top_k": 1}
    _, one = server.call("POST", "/v1/completions", {**body, "ignore_eos": True})
    assert one["choices"][0]["text"] == await continued(client, "tiny", PROMPTS[0])


async def test_a_grammar_holds_in_a_mixed_batch(client: AsyncOpenAI) -> None:
    schema = {"type": "array", "items": {"enum": ["да", "нет"]}, "minItems": 2, "maxItems": 2}
    shape: Any = {"type": "json_schema", "json_schema": {"name": "list", "schema": schema}}

    async def shaped(seed: int) -> str:
        made = await client.chat.completions.create(
            model="red", messages=[{"role": "user", "content": "?"}], max_tokens=60, seed=seed, response_format=shape
        )
        return made.choices[0].message.content or ""

    alone = await continued(client, "tiny", PROMPTS[0])
    *lists, free = await asyncio.gather(*(shaped(seed) for seed in range(5)), continued(client, "tiny", PROMPTS[0]))
    assert set(lists) <= {f'["{a}","{b}"]' for a in ("да", "нет") for b in ("да", "нет")}
    assert len(set(lists)) > 1
    assert free == alone


async def test_a_prompt_that_was_computed_is_not_computed_again_but_by_its_own_adapter(
    client: AsyncOpenAI, expected: dict[str, Any]
) -> None:
    prompt = expected[""][3]["prompt"] * 6

    async def ask(model: str) -> tuple[str, int]:
        made = await client.completions.create(
            model=model, prompt=prompt, max_tokens=8, temperature=0, extra_body={"ignore_eos": True}
        )
        assert made.usage is not None
        assert made.usage.prompt_tokens_details is not None
        return made.choices[0].text, made.usage.prompt_tokens_details.cached_tokens or 0

    first, reused = await ask("grey")
    assert reused < len(prompt) // 2
    other, reused_by_other = await ask("blue")
    assert reused_by_other < len(prompt) // 2
    assert await ask("grey") == (first, len(prompt) - 1)
    assert await ask("blue") == (other, len(prompt) - 1)
    assert first != other
