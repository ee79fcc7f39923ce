"""A ledger written by the version before is upgraded with all that is in it."""

from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.engine import make_url

from concilium.contracts.task import Request
from concilium.ledger import migrate
from support.ledgers import Hands, hands


async def test_tasks_steps_and_keys_of_the_first_schema_are_kept_and_go_on(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs") as mesh:
        done = (await mesh.submit("a b>a")).task.id
        await mesh.complete(await mesh.one())
        key, _ = await mesh.ledger.create_key("laptop", ("tasks:read",))
        before = await mesh.ledger.history(done)
    _on(url, _downgrade)
    assert "cost" not in _on(url, lambda conn: _columns(conn, "tasks"))
    async with hands(url, tmp_path / "blobs") as mesh:
        after = await mesh.ledger.history(done)
        assert after.task.model_copy(update={"cost": None}) == before.task.model_copy(update={"cost": None})
        assert (after.task.cost, after.task.request) == (None, Request(text="a b>a"))
        assert after.events == before.events
        assert [key_.id for key_ in await mesh.ledger.list_keys()] == [key.id]
        assert (await mesh.ledger.list_keys())[0].budget is None
        trace = before.task.trace_id
        assert await _finish(mesh) == {f"00-{trace}-{trace[16:]}-00"}, "a task of before has a span nobody has seen"
        assert await mesh.state(done) == "completed"
        cost = (await mesh.ledger.get(done)).cost
        assert cost is not None
        assert cost.unpriced == 1


async def _finish(mesh: Hands) -> set[str]:
    """Carry out what is left; return the traces the steps were told they belong to."""
    given: set[str] = set()
    while leases := await mesh.claim():
        given.add(leases[0].traceparent)
        await mesh.complete(leases[0])
    return given


def _on(url: str, work: Any) -> Any:
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    try:
        with engine.begin() as conn:
            return work(conn)
    finally:
        engine.dispose()


def _downgrade(conn: Connection) -> None:
    command.downgrade(migrate.configuration(conn), "0001")


def _columns(conn: Connection, table: str) -> set[str]:
    found = MetaData()
    found.reflect(conn, only=[table])
    return set(found.tables[table].columns.keys())
