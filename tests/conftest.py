"""Fixtures that every room may use."""

from collections.abc import Iterator

import pytest

from support.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, started on first use; ask it for an empty `Postgres.database`."""
    with running_postgres() as server:
        yield server
