"""Opening, migrating, restarting; API keys."""

import asyncio
import os
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url

from concilium.contracts.base import utc_now
from concilium.contracts.errors import Invalid, NotFound, Unavailable
from concilium.ledger import Ledger, hash_of
from concilium.ledger.schema import metadata
from support.fold import advance
from support.ledgers import Hands, hands, until


async def test_the_migrations_make_exactly_the_schema_and_run_again_without_harm(url: str, tmp_path: Path) -> None:
    for _ in range(2):
        async with hands(url, tmp_path / "blobs"):
            pass
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        differences = [item for item in compare_metadata(context, metadata) if "alembic_version" not in str(item)]
        assert differences == []
        assert set(metadata.tables) < set(inspect(conn).get_table_names())
    engine.dispose()


async def test_a_sqlite_file_has_one_opener(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.sqlite3'}"
    async with hands(url, tmp_path / "blobs"):
        with pytest.raises(Unavailable, match="one opener"):
            await Ledger.open(url, tmp_path / "blobs", advance)
    async with hands(url, tmp_path / "blobs") as again:
        await again.submit("a")


async def test_several_processes_share_one_postgresql(postgres, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # fixture
    url = postgres.database()
    async with hands(url, tmp_path / "blobs") as left, hands(url, tmp_path / "blobs") as right:
        submitted = [(await left.submit("a b c")).task for _ in range(5)]
        last = submitted[0].last_seq
        waiting = asyncio.create_task(right.ledger.wait(submitted[0].id, last, 20))
        found = await asyncio.gather(*(side.claim(count=4) for side in (left, right) * 4))
        runs = [lease.run_id for leases in found for lease in leases]
        assert len(runs) == len(set(runs)) == 15
        assert await waiting


async def test_lost_connections_are_made_again(postgres, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # fixture
    url = postgres.database()
    async with hands(url, tmp_path / "blobs") as mesh:
        await asyncio.gather(*(mesh.submit("a") for _ in range(16)))
        with psycopg.connect(url, autocommit=True) as conn:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            conn.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        found = await asyncio.gather(*(mesh.submit("a") for _ in range(16)))
        assert len({one.task.id for one in found}) == 16
        assert len(await mesh.ledger.list_tasks(limit=100)) == 32


async def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    for url in ("mysql://x/y", "sqlite://", "nonsense"):
        with pytest.raises(Invalid):
            await Ledger.open(url, tmp_path / "blobs", advance)
    with pytest.raises(Unavailable):
        await Ledger.open("postgresql://nobody@/none?host=/nonexistent", tmp_path / "blobs", advance)
    (tmp_path / "text.sqlite3").write_text("this is not a database, but a text that is long enough " * 9)
    with pytest.raises(Unavailable):
        await Ledger.open(f"sqlite:///{tmp_path / 'text.sqlite3'}", tmp_path / "blobs", advance)


async def test_finished_and_leased_work_is_still_there_after_a_restart(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs") as before:
        submitted = await before.submit("a b>a")
        await before.complete(await before.one())
        lease = await before.one()
    async with hands(url, tmp_path / "blobs") as after:
        assert (await after.ledger.stats()).leases == 1
        assert not (await after.ledger.sweep()).expired
        await after.complete(lease)
        history = await after.ledger.history(submitted.task.id)
        assert [event.seq for event in history.events] == list(range(1, history.task.last_seq + 1))


async def test_after_a_start_the_reaper_waits_one_lease_time(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.1) as before:
        await before.submit("a")
        await before.one()
        await asyncio.sleep(0.15)  # the lease runs out while nobody sweeps
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.5) as after:
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def expired() -> int:
            return (await after.ledger.sweep()).expired

        await until(expired)
        assert loop.time() - start > 0.4


_WRITER = """
import asyncio, sys
from pathlib import Path
from support.ledgers import hands

async def main():
    async with hands(sys.argv[1], Path(sys.argv[2])) as mesh:
        async def work(number):
            while True:
                submitted = await mesh.submit("a b>a")
                print("accepted", submitted.task.id, flush=True)
                for lease in await mesh.claim(count=2):
                    done = await mesh.complete(lease)
                    print("done", lease.run_id, flush=True)
        await asyncio.gather(*(work(n) for n in range(8)))

asyncio.run(main())
"""


async def test_what_was_answered_survives_kill_9(url: str, tmp_path: Path) -> None:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = (sys.executable, "-c", _WRITER, url, str(tmp_path / "blobs"))
    environ = os.environ | {"PYTHONPATH": path}
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environ)
    assert child.stdout is not None
    said = [await child.stdout.readline() for _ in range(150)]
    child.kill()
    said += (await child.stdout.read()).splitlines(keepends=True)
    await child.wait()
    lines = [line.decode().split() for line in said if line.endswith(b"\n")]
    assert len(lines) >= 150
    async with hands(url, tmp_path / "blobs") as after:
        for word, name in lines:
            history = await after.ledger.history(name.split(".")[0])
            assert [event.seq for event in history.events] == list(range(1, history.task.last_seq + 1))
            if word == "done":
                step = name.split(".")[1]
                assert [run.state.value for run in history.steps if run.step == step] == ["completed"]


async def test_a_key_is_shown_once_stored_as_its_hash_and_can_be_revoked(mesh: Hands, tmp_path: Path) -> None:
    key, secret = await mesh.ledger.create_key("laptop", ("tasks:read", "tasks:write"), 3600, 60)
    assert len(secret) >= 43
    found = await mesh.ledger.find_key(hash_of(secret))
    assert found == key
    assert found.active(utc_now())
    assert (found.scopes, found.rate_per_minute) == (("tasks:read", "tasks:write"), 60)
    assert await mesh.ledger.find_key(hash_of("other")) is None
    assert secret not in await asyncio.to_thread(_bytes_in, tmp_path)
    await mesh.ledger.revoke_key(key.id)
    await mesh.ledger.revoke_key(key.id)
    revoked = await mesh.ledger.find_key(hash_of(secret))
    assert revoked is not None
    assert not revoked.active(utc_now())
    with pytest.raises(NotFound):
        await mesh.ledger.revoke_key("key_none")


def _bytes_in(folder: Path) -> str:
    return b"".join(path.read_bytes() for path in folder.glob("ledger.sqlite3*")).decode("latin-1")


async def test_a_key_of_the_home_is_made_once(mesh: Hands) -> None:
    first = await mesh.ledger.ensure_key("secret-of-a-file", "admin", ("admin",))
    assert await mesh.ledger.ensure_key("secret-of-a-file", "admin", ("admin",)) == first
    assert [key.name for key in await mesh.ledger.list_keys()] == ["admin"]


async def test_an_expired_key_is_not_active(mesh: Hands) -> None:
    key, _secret = await mesh.ledger.create_key("brief", (), expires_in_s=-1)
    assert not key.active(utc_now())
