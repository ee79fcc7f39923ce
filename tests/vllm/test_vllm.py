"""vLLM through this project's own client, and what only vLLM has: metrics, a cache, a parser of launch lines."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from prometheus_client.parser import text_string_to_metric_families

from concilium.contracts.config import EngineConfig
from concilium.contracts.modes import parse_models
from concilium.engine import Chat, EngineClient, EngineError, flags, profiles
from concilium.engine.launch import launch
from concilium.home import shipped
from embedded.conftest import Engine
from support.embedded.words import ADAPTERS
from support.vllm import environment, server
from support.vllm.server import VllmServer

LONG = server.CONTEXT - 100
"""Tokens of an answer that is not waited for."""
MODELS = parse_models((shipped("configs") / "models.yaml").read_text(encoding="utf-8"))
ASKED: Any = [{"role": "user", "content": "what does the fox say?"}]


@pytest.fixture
async def ours(engine: Engine, tmp_path: Path) -> AsyncIterator[EngineClient]:
    """Our client, with the key in a file and the shipped modes: asked not to think, an answer comes as it is made."""
    key = tmp_path / "engine.key"
    await asyncio.to_thread(key.write_text, engine.secret)
    config = EngineConfig(url=f"{engine.url}/v1", model=engine.model, api_key_file=str(key), timeout_s=120)
    async with EngineClient(config, MODELS) as client:
        yield client


async def metric(http: aiohttp.ClientSession, name: str) -> float:
    """Return the sum of a metric's samples."""
    async with http.get("/metrics") as answer:
        text = await answer.text()
    families = list(text_string_to_metric_families(text))
    found = [sample.value for family in families for sample in family.samples if sample.name == name]
    assert found, name
    return sum(found)


async def until_idle(http: aiohttp.ClientSession) -> None:
    """Return once no request runs or waits."""
    async with asyncio.timeout(60):
        while await metric(http, "vllm:num_requests_running") + await metric(http, "vllm:num_requests_waiting"):
            continue


def test_our_line_starts_it_and_shows_no_key(vllm: VllmServer) -> None:
    assert vllm.process is not None
    words = Path(f"/proc/{vllm.process.pid}/cmdline").read_bytes().decode().split("\0")
    assert server.SECRET not in " ".join(words)
    assert "--max-lora-rank=16" in words


async def test_our_client_gets_whole_answers_and_streams_and_counts(ours: EngineClient) -> None:
    chat = Chat(ASKED, mode="fast", max_tokens=12)
    whole = await ours.complete(chat)
    assert whole.content
    assert whole.usage is not None
    assert whole.usage.input_tokens == await ours.count_tokens(ASKED)
    async with ours.stream(chat) as deltas:
        parts = [delta async for delta in deltas]
    assert "".join(delta.content for delta in parts) == whole.content


async def test_our_client_gets_an_adapters_answer_by_its_name(ours: EngineClient, adapters: Path) -> None:
    said = [
        (await ours.complete(Chat(ASKED, mode="fast", model=name, max_tokens=12))).content for name in ("", *ADAPTERS)
    ]
    assert len(set(said)) == len(said)
    with pytest.raises(EngineError, match="404"):
        await ours.complete(Chat(ASKED, mode="fast", model="nobody", max_tokens=2))


async def test_a_tool_that_must_be_called_is_called_with_what_its_schema_allows(
    client: AsyncOpenAI, engine: Engine, http: aiohttp.ClientSession
) -> None:
    """Arguments follow their schema, though the request does not call the tool strict."""
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    blanks = {"model": engine.model, "prompt": " \n\r\t", "add_special_tokens": False}
    async with http.post("/tokenize", json=blanks) as answer:
        never = {str(token): -100 for token in (await answer.json())["tokens"]}
    tool: Any = {"type": "function", "function": {"name": "paint", "parameters": parameters}}
    # A random model would make blanks for ever: for calls of tools vLLM's grammar lets it.
    found = await client.chat.completions.create(
        model=engine.model,
        messages=ASKED,
        tools=[tool],
        tool_choice="required",
        max_tokens=300,
        parallel_tool_calls=False,
        temperature=0,
        logit_bias=never,
    )
    calls: Any = found.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["paint"]
    assert json.loads(calls[0].function.arguments)["colour"] in {"red", "green"}


async def test_leaving_a_stream_ends_the_generation(ours: EngineClient, http: aiohttp.ClientSession) -> None:
    await until_idle(http)
    before = await metric(http, "vllm:generation_tokens_total")
    async with ours.stream(Chat(ASKED, mode="fast", max_tokens=LONG)) as deltas:
        await anext(deltas)
    await until_idle(http)
    assert await metric(http, "vllm:generation_tokens_total") - before < LONG


async def test_cancelling_a_whole_answer_ends_the_generation(ours: EngineClient, http: aiohttp.ClientSession) -> None:
    await until_idle(http)
    before = await metric(http, "vllm:generation_tokens_total")
    asking = asyncio.create_task(ours.complete(Chat(ASKED, mode="fast", max_tokens=LONG)))
    async with asyncio.timeout(60):
        while not await metric(http, "vllm:num_requests_running"):
            continue
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await until_idle(http)
    assert await metric(http, "vllm:generation_tokens_total") - before < LONG


async def test_an_adapter_changes_the_probabilities_as_transformers_says(
    client: AsyncOpenAI, engine: Engine, adapters: Path
) -> None:
    expected = json.loads((adapters / "expected.json").read_text())
    for name, answers in expected.items():
        for wanted in answers:
            made = await client.completions.create(
                model=name or engine.model,
                prompt=wanted["prompt"],
                max_tokens=1,
                temperature=0,
                extra_body={"prompt_logprobs": 0},
            )
            told = (made.choices[0].model_extra or {})["prompt_logprobs"][1:]
            found = [
                position[str(token)]["logprob"] for position, token in zip(told, wanted["prompt"][1:], strict=True)
            ]
            assert found == pytest.approx(wanted["logprobs"][: len(found)], abs=2e-2), name


async def test_the_cache_of_prefixes_is_not_shared_between_adapters(
    client: AsyncOpenAI, engine: Engine, http: aiohttp.ClientSession, adapters: Path
) -> None:
    prompt = [4 + at * 7 % 300 for at in range(200)]

    async def ask(model: str) -> tuple[float, str]:
        before = await metric(http, "vllm:prefix_cache_hits_total")
        made = await client.completions.create(
            model=model, prompt=prompt, max_tokens=12, temperature=0, extra_body={"ignore_eos": True}
        )
        return await metric(http, "vllm:prefix_cache_hits_total") - before, made.choices[0].text

    cold, base = await ask(engine.model)
    warm, again = await ask(engine.model)
    assert cold == 0
    assert warm > 0
    assert again == base
    for name in ADAPTERS:
        cold, first = await ask(name)
        warm, second = await ask(name)
        assert cold == 0, name
        assert warm > 0
        assert first == second != base
    assert (await ask(engine.model))[1] == base


async def test_an_adapter_of_a_higher_rank_than_the_slots_is_refused_and_the_engine_goes_on(
    http: aiohttp.ClientSession, client: AsyncOpenAI, engine: Engine, tmp_path: Path
) -> None:
    config = json.loads((engine.adapters / "red" / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"r": 32}))
    (tmp_path / "adapter_model.safetensors").symlink_to(engine.adapters / "red" / "adapter_model.safetensors")
    async with http.post("/v1/load_lora_adapter", json={"lora_name": "wide", "lora_path": str(tmp_path)}) as answer:
        assert answer.status >= 400
        assert "rank" in await answer.text()
    assert (await client.completions.create(model=engine.model, prompt="the", max_tokens=2)).choices


async def test_nothing_below_v1_is_told_without_the_key(engine: Engine) -> None:
    async with aiohttp.ClientSession(engine.url) as stranger:
        for path in ("/v1/models", "/v1/load_lora_adapter", "/v1/chat/completions"):
            async with stranger.post(path, json={}) as answer:
                assert answer.status == 401, path


@pytest.mark.xfail(
    strict=True, reason="vLLM 0.32.0 on a CPU takes the last slot for 'no adapter': index -1 of a tensor"
)
async def test_the_base_model_answers_as_itself_beside_adapters_in_every_slot(
    http: aiohttp.ClientSession, client: AsyncOpenAI, engine: Engine
) -> None:
    async def ask(model: str) -> str:
        made = await client.completions.create(
            model=model, prompt="the quick brown fox", max_tokens=64, temperature=0, extra_body={"ignore_eos": True}
        )
        return made.choices[0].text

    names = [f"full-{at}" for at in range(server.SLOTS)]
    for name in names:
        body = {"lora_name": name, "lora_path": str(engine.adapters / "red")}
        async with http.post("/v1/load_lora_adapter", json=body) as answer:
            assert answer.status == 200
    try:
        alone = await ask(engine.model)
        *_, together = await asyncio.gather(*map(ask, (*names, engine.model)))
    finally:
        for name in names:
            async with http.post("/v1/unload_lora_adapter", json={"lora_name": name}) as answer:
                assert answer.status == 200
    assert together == alone


def test_the_flags_kept_are_those_of_the_pinned_version() -> None:
    asked = flags.of_installed(environment.program())
    assert asked.version.partition("+")[0] == flags.shipped().version
    assert asked.flags == flags.shipped().flags


def test_vllm_reads_every_profiles_line_and_takes_a_stretched_context(vllm: VllmServer, tmp_path: Path) -> None:
    lines = {}
    for name in MODELS.profiles:
        it = profiles.choose(MODELS, name)
        lines[name] = launch(name, it.spec, it.profile, model="/m", host="127.0.0.1", port=8000).arguments
    asked = tmp_path / "lines.json"
    context = json.loads((vllm.models / "tiny" / "config.json").read_text())["max_position_embeddings"]
    asked.write_text(json.dumps({"lines": lines, "model": str(vllm.models / "tiny"), "context": context}))
    python = environment.program().parent / "python"
    script = Path(__file__).parents[1] / "support" / "vllm" / "read_lines.py"
    done = subprocess.run([python, script, asked], capture_output=True, text=True, check=False, env=vllm.environ())
    assert done.returncode == 0, done.stderr[-4000:]
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["lines"]["qwen3-96gb"]["max_model_len"] == 131072
    assert read["lines"]["qwen3-24gb"]["kv_cache_dtype"] == "fp8"
    assert read["lines"]["qwen3-2x24gb"]["tensor_parallel_size"] == 2
    assert read["lines"]["qwen3-48gb"]["lora_target_modules"] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert read["stretched"] == 4 * context
    assert "max_position_embeddings" in read["unstretched"]
