"""A mesh of real processes, and a caller who asks it for steps."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.mesh import Mesh
from support.runner import Caller, calling


@pytest.fixture
def mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """A started mesh with short leases (or the parameter's), the no-op agent and one that probes."""
    ttl_s: float = getattr(request, "param", 2.0)
    with Mesh.temporary(control_module="support.json_fold", lease_ttl_s=ttl_s, agents=("noop", "probe")) as running:
        running.start()
        yield running


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[Caller]:
    async with calling(mesh) as found:
        yield found
