"""Engines' own figures are counted where they are asked; nonsense counts as unknown."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from concilium.contracts.prices import EngineUse
from concilium.engine import EngineClient, EngineError, Meter, metered
from support.engine import running_engine


async def ask(engine: EngineClient) -> None:
    await engine.chat([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], max_tokens=5)


def replying(usage: Any, content: Any = "x") -> Any:
    async def reply(_request: web.Request) -> web.Response:
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]} | ({} if usage is None else {"usage": usage}))

    return reply


async def test_each_of_two_at_once_counts_its_own_calls_in_tasks_it_started_too() -> None:
    async def work(engine: EngineClient, calls: int) -> tuple[EngineUse, ...]:
        meter = Meter()
        with metered(meter):
            await asyncio.gather(*(asyncio.create_task(ask(engine)) for _ in range(calls)))
        return meter.use("engine")

    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    async with running_engine(replying(usage), free=True) as server, EngineClient(server.config()) as engine:
        await ask(engine)
        found = await asyncio.gather(work(engine, 3), work(engine, 2), work(engine, 0))
    assert found == [
        (EngineUse(engine="engine", input_tokens=300, output_tokens=21),),
        (EngineUse(engine="engine", input_tokens=200, output_tokens=14),),
        (),
    ]


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        {},
        {"prompt_tokens": 5},
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
    ],
)
async def test_an_answer_without_sensible_figures_is_noted_as_uncounted(usage: Any) -> None:
    meter = Meter()
    async with running_engine(replying(usage), free=True) as server, EngineClient(server.config()) as engine:
        with metered(meter):
            await ask(engine)
    assert meter.use("engine") == (EngineUse(engine="engine", uncounted=1),)


async def test_an_answer_that_cannot_be_used_is_paid_for_all_the_same() -> None:
    meter = Meter()
    reply = replying({"prompt_tokens": 9, "completion_tokens": 1}, content=None)
    async with running_engine(reply, free=True) as server, EngineClient(server.config()) as engine:
        with metered(meter), pytest.raises(EngineError):
            await ask(engine)
    assert meter.use("vision_engine") == (EngineUse(engine="vision_engine", input_tokens=9, output_tokens=1),)
