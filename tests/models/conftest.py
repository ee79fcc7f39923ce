"""Real models behind a real server, and the agents that ask them."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import yaml

from support.agents import Agent, Peer, make_agent
from support.served_models import trained
from support.served_models.server import ModelServer


@pytest.fixture(scope="session")
def vision_server() -> Iterator[ModelServer]:
    """The vision model, served."""
    server = ModelServer(trained.model(trained.VISION))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def code_server() -> Iterator[ModelServer]:
    """The text model, served."""
    server = ModelServer(trained.model(trained.CODE))
    server.start()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def served(request: pytest.FixtureRequest) -> ModelServer:
    """Return the server that the module names in ``SERVER``, started again if a test has ended it."""
    server: ModelServer = request.getfixturevalue(request.module.SERVER)
    if server.process is None:
        server.start()
    return server


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """Return what calls agents as the runner does."""
    async with aiohttp.ClientSession(read_bufsize=2**22) as session:
        yield Peer(session)


@pytest.fixture(scope="module")
def asks(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """The module's agent with its engine: a module names them in ``AGENT``, ``SECTION`` and ``SERVER``."""
    module = request.module
    server: ModelServer = request.getfixturevalue(module.SERVER)
    home = tmp_path_factory.mktemp("home")
    section = server.config().model_dump(include={"url", "model", "timeout_s"})
    (home / "mesh.yaml").write_text(yaml.safe_dump({module.SECTION: section}))
    agent = make_agent(module.AGENT, home)
    agent.start()
    yield agent
    agent.stop()
