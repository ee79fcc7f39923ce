"""The embedded engine, served with a tiny model made on the spot."""

import json
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from support.embedded.server import SECRET, EmbeddedServer, run_in_environment
from support.embedded.words import ADAPTERS


@dataclass(frozen=True)
class Engine:
    """A server with OpenAI's API and vLLM's routes for adapters; what the contract's tests know of it."""

    url: str
    """Without a path."""
    secret: str
    model: str
    adapters: Path
    """Folder with a folder for each of `ADAPTERS`."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model, the adapters and what they should say."""
    return Path(run_in_environment("support.embedded.model", str(tmp_path_factory.mktemp("models"))))


@pytest.fixture(scope="session")
def expected(models: Path) -> dict[str, Any]:
    """What transformers says, by adapter; the base model's is under the empty name."""
    found: dict[str, Any] = json.loads((models / "expected.json").read_text())
    return found


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server with room for four requests at work and four that wait, and all adapters loaded."""
    options = ("--slots", "4", "--queue", "4", "--context", "512")
    running = EmbeddedServer(models / "tiny", tmp_path_factory.mktemp("server"), options).start()
    for name in ADAPTERS:
        assert running.load(name, models / name)[0] == 200
    yield running
    assert running.stop() in {0, -signal.SIGTERM}, running.said()


@pytest.fixture(scope="session", params=["embedded"])
def engine(request: pytest.FixtureRequest, models: Path) -> Engine:
    """Each server that keeps the contract, in turn."""
    running: EmbeddedServer = request.getfixturevalue("server")
    return Engine(running.url, SECRET, "tiny", models)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's own client."""
    async with AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=engine.secret, max_retries=0) as made:
        yield made
