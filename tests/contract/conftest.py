"""Each agent under contract as a process, and a caller that calls it as the runner does."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from concilium.runner.agent import AgentClient
from concilium.runner.endpoints import find
from contract.caller import Caller
from contract.subjects import Subject, folders, make_subject


@pytest.fixture(scope="session", params=sorted(folders()))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """A started agent."""
    made = make_subject(request.param, tmp_path_factory.mktemp("home"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def caller(subject: Subject) -> AsyncIterator[Caller]:
    """Somebody who calls the agent as the runner does."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        client = AgentClient(session)
        endpoint = await find(client, subject.manifest, subject.url, lambda: subject.shown)
        yield Caller(subject, session, client, endpoint)


@pytest.fixture
def steps(caller: Caller) -> Caller:
    """The caller of an agent whose card declares the step extension: only such an agent knows run ids and fences."""
    if not caller.endpoint.steps:
        pytest.skip("not applicable: the agent's card does not declare the step extension")
    return caller
