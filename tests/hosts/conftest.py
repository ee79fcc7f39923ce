"""A mesh at home and an agent on another host, behind a wire that each test finds whole and fast."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.hosts import Host, Hosts, why_not
from support.hosts.remote import RemoteAgent, install
from support.mesh import Mesh
from support.runner import Caller, calling


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    made = Hosts()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def far(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteAgent]:
    """The agent ``probe`` on a host of its own."""
    agent = RemoteAgent("probe", hosts.make(), tmp_path_factory.mktemp("far"), "m" * 43)
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture(scope="module")
def mesh(far: RemoteAgent) -> Iterator[Mesh]:
    """Home, which knows the agent by its URL."""
    settings = {"CONCILIUM_RUNNER__AGENTS": f"{{probe: '{far.url}'}}", "CONCILIUM_AGENTS__START": "[]"}
    with Mesh.temporary(control_module="support.json_fold", lease_ttl_s=2.0, agents=(), settings=settings) as running:
        install("probe", running.root)
        running.start()
        yield running


@pytest.fixture
def host(far: RemoteAgent) -> Iterator[Host]:
    """The agent's host; its wire is whole again after the test."""
    yield far.host
    far.host.wire()


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[Caller]:
    async with calling(mesh) as found:
        yield found
