"""A request that fails leaves nothing behind, and a request at work ends with the weights it began with."""

import asyncio
import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from support.embedded.server import EmbeddedServer
from support.embedded.words import POISON

LONG = 300


def ask(server: EmbeddedServer, model: str, prompt: list[int], tokens: int = 16) -> tuple[int, Any]:
    """Return the status and the greedy continuation, or the error."""
    body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "logprobs": 2}
    status, answer = server.call("POST", "/v1/completions", body)
    return status, answer["choices"][0] if status == 200 else answer["error"]


@pytest.fixture(scope="module")
def fragile(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EmbeddedServer]]:
    """Three servers of the same model, which fails at the token `POISON`."""
    made = [
        EmbeddedServer(models / "tiny", tmp_path_factory.mktemp("fragile"), ("--slots", "3"), "support.embedded.faulty")
        for _ in range(3)
    ]
    for server in made:
        server.launch()
    for server in made:
        server.wait()
        for name in ("red", "blue"):
            assert server.load(name, models / name)[0] == 200
    yield made
    for server in made:
        server.stop()


def test_an_error_between_two_adapters_changes_neither(fragile: list[EmbeddedServer], expected: dict[str, Any]) -> None:
    """a, error, b, a on one prompt against processes that have seen nothing else."""
    shared = expected[""][3]["prompt"]
    worn, fresh_red, fresh_blue = fragile
    red = ask(worn, "red", shared)
    status, error = ask(worn, "red", [*shared, POISON])
    assert (status, error["code"]) == (500, "engine_failed")
    blue = ask(worn, "blue", shared)
    again = ask(worn, "red", shared)
    for mine, fresh in ((red, fresh_red), (blue, fresh_blue), (again, fresh_red)):
        wanted = ask(fresh, "red" if fresh is fresh_red else "blue", shared)
        assert mine[0] == wanted[0] == 200
        assert mine[1]["text"] == wanted[1]["text"]
        assert mine[1]["logprobs"]["token_logprobs"] == pytest.approx(wanted[1]["logprobs"]["token_logprobs"], abs=1e-4)
    assert red[1]["text"] != blue[1]["text"]


async def test_a_row_that_fails_takes_no_other_with_it(fragile: list[EmbeddedServer], expected: dict[str, Any]) -> None:
    server = fragile[0]
    prompts = [each["prompt"] for each in expected[""]]
    alone = [ask(server, model, prompts[0], 40)[1]["text"] for model in ("red", "blue")]
    for _ in range(5):
        red, bad, blue = await asyncio.gather(
            asyncio.to_thread(ask, server, "red", prompts[0], 40),
            asyncio.to_thread(ask, server, "tiny", [*prompts[1], POISON], 40),
            asyncio.to_thread(ask, server, "blue", prompts[0], 40),
        )
        assert bad[0] == 500
        assert [red[1]["text"], blue[1]["text"]] == alone
    assert server.metric("concilium_embedded_rows") == 0


async def test_an_adapter_without_numbers_harms_its_own_rows_alone(
    fragile: list[EmbeddedServer], models: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """Weights that are finite but overflow: what they left in the slots must not reach the next rows there.

    A short row is read as far as the longest one beside it, over what was left in its slot.
    """
    server, prompt = fragile[0], expected[""][3]["prompt"] * 2
    shutil.copytree(models / "red", tmp_path / "huge")
    weights = tmp_path / "huge" / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    begin = 8 + struct.unpack("<Q", raw[:8])[0]
    raw[begin:] = struct.pack("<f", 3e38) * ((len(raw) - begin) // 4)
    weights.write_bytes(raw)

    async def three(model: str, *asked: tuple[list[int], int]) -> list[tuple[int, Any]]:
        return await asyncio.gather(*(asyncio.to_thread(ask, server, model, *each) for each in asked))

    wishes = (prompt, 40), (prompt[:3], 8), (prompt[1:4], 8)
    before = [ask(server, "red", *wish)[1]["text"] for wish in wishes]
    assert server.load("huge", tmp_path / "huge")[0] == 200
    for _ in range(3):
        assert {status for status, _ in await three("huge", *((prompt, 8),) * 3)} == {500}
        failed = server.metric("concilium_embedded_failed_steps_total")
        assert [choice.get("text", choice) for _, choice in await three("red", *wishes)] == before
        assert server.metric("concilium_embedded_failed_steps_total") == failed
    assert server.unload("huge")[0] == 200


@pytest.mark.parametrize("change", ["unloaded", "replaced"])
async def test_a_request_at_work_ends_with_the_weights_it_began_with(
    client: AsyncOpenAI, server: EmbeddedServer, models: Path, change: str
) -> None:
    options: Any = {"prompt": "the", "max_tokens": LONG, "temperature": 0, "extra_body": {"ignore_eos": True}}
    wanted = (await client.completions.create(model="red", **options)).choices[0].text
    assert server.load("moving", models / "red")[0] == 200
    stream = await client.completions.create(model="moving", stream=True, **options)
    said = [(await anext(stream)).choices[0].text]
    if change == "unloaded":
        assert (await asyncio.to_thread(server.unload, "moving"))[0] == 200
    else:
        assert (await asyncio.to_thread(server.load, "moving", models / "blue", inplace=True))[0] == 200
    said += [chunk.choices[0].text async for chunk in stream]
    assert "".join(said) == wanted
    if change == "replaced":
        assert (await client.completions.create(model="moving", **options)).choices[0].text != wanted
        assert server.unload("moving")[0] == 200


def test_adapters_are_read_from_one_file_each(models: Path) -> None:
    """The header of safetensors is what the test above cuts at."""
    raw = (models / "red" / "adapter_model.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    assert {each["dtype"] for each in header.values() if "dtype" in each} == {"F32"}
