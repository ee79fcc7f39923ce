"""Agent services and a mesh peer for the tests of the agent runtime."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from support.agents import Agent, Peer, make_agent


@pytest.fixture(scope="module")
def noop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    agent = make_agent("noop", tmp_path_factory.mktemp("home"))
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    agent = make_agent("probe", tmp_path_factory.mktemp("home"))
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture
def own_noop(tmp_path: Path) -> Iterator[Agent]:
    """An agent that a test may kill and start again."""
    agent = make_agent("noop", tmp_path)
    agent.start()
    yield agent
    agent.stop(signal.SIGKILL)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), read_bufsize=2**26) as session:
        yield Peer(session)
