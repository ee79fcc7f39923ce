"""A control plane with the brain's own fold, thinking with a scripted engine."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.control_plane import Client, ControlPlane
from support.engine import ScriptedEngine, running_engine
from support.ports import free_port

LEASE_TTL_S = 5.0
"""As in test_loop."""


@pytest.fixture(scope="module")
def port() -> int:
    """Return where the engine listens, in each test anew."""
    return free_port()


@pytest.fixture
async def engine(port: int) -> AsyncIterator[ScriptedEngine]:
    async with running_engine(port=port) as running:
        yield running


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[ControlPlane]:
    """One control plane for a module's tests."""
    settings = {
        "CONCILIUM_ENGINE__URL": f"http://127.0.0.1:{port}/v1",
        "CONCILIUM_ENGINE__MODEL": "test-model",
        "CONCILIUM_LEDGER__LEASE_TTL_S": str(LEASE_TTL_S),
    }
    running = ControlPlane(tmp_path_factory.mktemp("home"), free_port(), settings, module="concilium.gateway")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def user(admin: Client) -> Client:
    return admin
