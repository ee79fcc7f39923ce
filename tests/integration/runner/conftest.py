"""A mesh of real processes, and a caller who asks it for steps."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from support.mesh import Mesh
from support.runner import Caller


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    """A started mesh with short leases, the no-op agent and one that probes."""
    with Mesh.temporary(control_module="support.json_fold", lease_ttl_s=2.0, agents=("noop", "probe")) as running:
        running.start()
        yield running


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {mesh.key()}"}) as session:
        yield Caller(mesh, session)
