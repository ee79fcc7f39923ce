"""The same tests on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.ledgers import Hands, hands


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture
async def mesh(url: str, tmp_path: Path) -> AsyncIterator[Hands]:
    """An open ledger with the usual lease time."""
    async with hands(url, tmp_path / "blobs") as found:
        yield found


@pytest.fixture
async def hasty(url: str, tmp_path: Path) -> AsyncIterator[Hands]:
    """An open ledger whose leases last a fifth of a second."""
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.2) as found:
        yield found
