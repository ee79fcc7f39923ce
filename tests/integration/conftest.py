"""A control plane in its own process, and people with keys."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from support.control_plane import Client, ControlPlane
from support.ports import free_port


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for a module's tests."""
    running = ControlPlane(tmp_path_factory.mktemp("home"), free_port(), {})
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    # Connections are not kept: some tests restart the server under the session.
    connector, timeout = aiohttp.TCPConnector(force_close=True), aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as opened:
        yield opened


@pytest.fixture
def admin(plane: ControlPlane, session: aiohttp.ClientSession) -> Client:
    return Client(session, plane, plane.key())


@pytest.fixture
def runner(plane: ControlPlane, session: aiohttp.ClientSession) -> Client:
    return Client(session, plane, plane.key("runner"))


@pytest.fixture
async def user(admin: Client) -> Client:
    return await admin.new_key("tasks:read", "tasks:write")
