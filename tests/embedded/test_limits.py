"""More than fits is refused and told to come again; who goes away makes room."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Completion

from support.embedded.server import EmbeddedServer

SLOTS, QUEUE = 4, 4
ENDLESS: dict[str, Any] = {
    "model": "tiny",
    "prompt": "the",
    "max_tokens": 500,
    "temperature": 0,
    "extra_body": {"ignore_eos": True},
}
WAIT_S = 60.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_S
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def counts(server: EmbeddedServer, rows: int, waiting: int) -> Callable[[], bool]:
    """Return whether so many requests are at work and wait."""
    return lambda: (
        server.metric("concilium_embedded_rows") == rows and server.metric("concilium_embedded_waiting") == waiting
    )


async def test_a_full_server_says_when_to_come_again(client: AsyncOpenAI, server: EmbeddedServer) -> None:
    """Who was let in is served to the end."""
    asked = (client.completions.create(**ENDLESS) for _ in range(3 * (SLOTS + QUEUE)))
    made = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each for each in made if isinstance(each, openai.InternalServerError)]
    served = [each.usage for each in made if isinstance(each, Completion)]
    assert len(served) + len(refused) == len(made)
    assert len(served) >= SLOTS + QUEUE
    assert {usage and usage.completion_tokens for usage in served} == {500}
    assert refused
    for error in refused:
        assert (error.status_code, error.code) == (503, "engine_full")
        assert int(error.response.headers["retry-after"]) >= 1
    await until(counts(server, 0, 0))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_frees_its_row(server: EmbeddedServer, stream: bool) -> None:
    ended = server.metric("concilium_embedded_generated_tokens_total")
    headers = {"Authorization": "Bearer the-engines-own-secret"}
    body = {**ENDLESS, **ENDLESS["extra_body"], "stream": stream}
    del body["extra_body"]
    async with aiohttp.ClientSession(server.url, headers=headers) as session:

        async def ask() -> None:
            async with session.post("/v1/completions", json=body) as answer:
                async for _ in answer.content:
                    await asyncio.Event().wait()

        asked = [asyncio.ensure_future(ask()) for _ in range(SLOTS + QUEUE)]
        await until(lambda: server.metric("concilium_embedded_generated_tokens_total") > ended + SLOTS)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    await until(counts(server, 0, 0))
    spent = server.metric("concilium_embedded_generated_tokens_total") - ended
    assert spent < (SLOTS + QUEUE) * 500


async def test_a_prompt_is_computed_in_pieces_beside_other_rows(client: AsyncOpenAI) -> None:
    """A prompt longer than what one step takes, while another row goes on."""
    long_prompt = [40 + at % 90 for at in range(480)]
    options: Any = {"model": "red", "prompt": long_prompt, "max_tokens": 12, "temperature": 0}
    alone = await client.completions.create(**options, extra_body={"ignore_eos": True})
    other = {**ENDLESS, "max_tokens": 100}
    expected = (await client.completions.create(**other)).choices[0].text
    background = asyncio.ensure_future(client.completions.create(**other))
    again = await client.completions.create(**{**options, "prompt": long_prompt}, extra_body={"ignore_eos": True})
    scored = await client.completions.create(**{**options, "max_tokens": 0}, echo=True, logprobs=0)
    assert again.choices[0].text == alone.choices[0].text
    assert scored.choices[0].logprobs is not None
    assert len(scored.choices[0].logprobs.token_logprobs or ()) == len(long_prompt)
    assert (await background).choices[0].text == expected
