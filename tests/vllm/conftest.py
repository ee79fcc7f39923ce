"""A real vLLM on a CPU, with the model and the adapters of the embedded engine's tests."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from openai import AsyncOpenAI

from support.embedded.words import ADAPTERS
from support.vllm import models
from support.vllm.server import SECRET, VllmServer

pytest.register_assert_rewrite("embedded.test_contract")

from embedded.conftest import Engine  # noqa: E402 - after the line above

os.nice(5)
"""It computes on every core and waits for nobody: what runs beside it shall not starve."""


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """The server; that it is healthy is no proof, so it is asked something."""
    running = VllmServer(tmp_path_factory.mktemp("vllm"))
    running.launch()
    try:
        running.wait()
        running.prove()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def engine(vllm: VllmServer) -> Engine:
    """What the contract's tests know of it."""
    return Engine(vllm.url, SECRET, models.NAME, vllm.models)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client."""
    async with AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=engine.secret, max_retries=0) as made:
        yield made


@pytest.fixture
async def http(engine: Engine) -> AsyncIterator[aiohttp.ClientSession]:
    """For vLLM's own routes."""
    async with aiohttp.ClientSession(engine.url, headers={"Authorization": f"Bearer {engine.secret}"}) as session:
        yield session


@pytest.fixture
async def adapters(http: aiohttp.ClientSession, engine: Engine) -> Path:
    """All adapters, loaded."""
    for name in ADAPTERS:
        body = {"lora_name": name, "lora_path": str(engine.adapters / name), "load_inplace": True}
        async with http.post("/v1/load_lora_adapter", json=body) as answer:
            assert answer.status == 200, await answer.text()
    return engine.adapters
