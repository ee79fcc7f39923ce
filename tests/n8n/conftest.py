"""Real n8n, started by `concilium up --n8n`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.n8n import Gate, N8n, running_n8n

NEWEST = "2.38.7"
OLDEST = "2.8.4"


@pytest.fixture(scope="session")
def gate() -> Iterator[Gate]:
    """What the tests' workflow *held* waits for."""
    with Gate() as standing:
        yield standing


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory, gate: Gate) -> Iterator[N8n]:
    """The oldest supported n8n beside a mesh, with the tests' own workflows besides the shipped ones."""
    with running_n8n(tmp_path_factory.mktemp("n8n"), OLDEST, gate.url) as running:
        yield running


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[N8n]:
    """The newest supported n8n beside a mesh, as it comes."""
    with running_n8n(tmp_path, NEWEST) as running:
        yield running
