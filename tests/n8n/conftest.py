"""Real n8n, started by `concilium up --n8n`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.n8n import Gate, N8n, running_n8n

NEWEST = "2.38.7"
OLDEST = "2.8.4"


@pytest.fixture(scope="session", params=[OLDEST, NEWEST])
def version(request: pytest.FixtureRequest) -> str:
    """Every supported n8n: the tests run with each."""
    return str(request.param)


@pytest.fixture(scope="session")
def gate(version: str) -> Iterator[Gate]:
    """What the tests' workflow *held* waits for."""
    with Gate() as standing:
        yield standing


@pytest.fixture(scope="session")
def n8n(tmp_path_factory: pytest.TempPathFactory, version: str, gate: Gate) -> Iterator[N8n]:
    """An n8n beside a mesh, with the tests' own workflows besides the shipped ones."""
    with running_n8n(tmp_path_factory.mktemp("n8n"), version, gate.url) as running:
        yield running


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[N8n]:
    """The newest supported n8n beside a mesh, as it comes."""
    with running_n8n(tmp_path, NEWEST) as running:
        yield running
