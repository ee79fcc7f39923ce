"""A snapshot of a ledger under load, and the ledger that is made of it, on both databases."""

import asyncio
import sqlite3
import time
from pathlib import Path

import psycopg
import pytest

from concilium.cli.app import run
from concilium.contracts.errors import Conflict, StaleLease, Unavailable
from concilium.contracts.limits import FENCE_ERA
from concilium.ledger import snapshot
from support.ledgers import Hands, hands

DAY_S = 86_400.0


def execute(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as conn:
            conn.execute(statement)
        conn.close()
    else:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(statement.encode())


def restore(url: str, file: Path, found: snapshot.Snapshot, aside: str = "before") -> int:
    """Make a snapshot the ledger at a URL, as a restore does."""
    with snapshot.unused(url):
        unfinished = snapshot.put_back(url, file, found, aside)
        if found.kind == snapshot.SQLITE:
            for path in Path(url.removeprefix("sqlite:///")).parent.glob("ledger.sqlite3*"):
                if not path.name.endswith(".lock"):
                    path.unlink()
            file.rename(url.removeprefix("sqlite:///"))
    return unfinished


async def test_a_snapshot_is_one_moment_however_much_is_written_meanwhile(mesh: Hands, tmp_path: Path) -> None:
    written: list[str] = []
    enough, over = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            data = f"file {len(written)}".encode()
            sha256, _ = await mesh.ledger.put_blob(data, key_id="key_1")
            written.append(sha256)
            await mesh.submit("a b")
            if len(written) >= 40:
                enough.set()

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await enough.wait()
    found = await asyncio.to_thread(snapshot.take, mesh.url, tmp_path / "copy")
    over.set()
    await asyncio.gather(*writers)
    snapshot.check(tmp_path / "copy", found)
    assert 30 <= found.tasks <= len(written)
    assert set(found.blobs) <= set(written)


async def test_a_restored_ledger_gives_back_the_time_between_and_ends_everything_once(url: str, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    async with hands(url, tmp_path / "blobs") as mesh:
        done = (await mesh.submit("a")).task.id
        await mesh.complete(await mesh.one())
        half = (await mesh.submit("a b>a")).task.id
        held = await mesh.one()
        think = (await mesh.submit("think a")).task.id
        (thought,) = await mesh.ledger.claim_thoughts("brain", 1)
        ask = (await mesh.submit("ask c")).task.id
        found = await asyncio.to_thread(snapshot.take, url, file)
        # A later history, which will be lost: everything here goes on.
        await mesh.complete(held)
        await mesh.complete(await mesh.one())
        await mesh.submit("lost")
        assert await mesh.state(half) == "completed"
    # As if the backup were a day old: the deadlines of ten minutes have long passed.
    old = snapshot.Snapshot(found.kind, found.revision, found.taken_at - DAY_S, found.tasks, found.blobs)
    if url.startswith("sqlite"):
        shift = f"sqlite:///{file}"
        execute(shift, f"UPDATE tasks SET deadline_at = deadline_at - {DAY_S}, paused_at = paused_at - {DAY_S}")
        execute(
            shift,
            f"UPDATE steps SET deadline_at = deadline_at - {DAY_S}, task_deadline_at = task_deadline_at - {DAY_S}",
        )
    unfinished = await asyncio.to_thread(restore, url, file, old)
    assert unfinished == 3
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.2) as mesh:
        tasks = {task.id: task for task in await mesh.ledger.list_tasks(limit=50)}
        assert set(tasks) == {done, half, think, ask}
        assert tasks[half].deadline_at.timestamp() > time.time() + 300
        with pytest.raises(StaleLease):
            await mesh.complete(held)
        with pytest.raises(StaleLease):
            await mesh.ledger.commit_thought(think, thought.fence, "plan", {"said": "too late"})
        again = await mesh.soon()
        assert again.run_id == held.run_id
        assert again.fence > FENCE_ERA > held.fence
        await mesh.complete(again)
        later = await mesh.soon()
        assert (later.step, later.fence) == ("b", FENCE_ERA + 1)
        await mesh.complete(later)
        (thought,) = await mesh.ledger.claim_thoughts("brain", 1)
        await mesh.ledger.commit_thought(think, thought.fence, "plan", {"said": "in time"})
        await mesh.ledger.reply(ask, "the first")
        for _ in range(2):
            await mesh.complete(await mesh.soon())
        assert {await mesh.state(task) for task in tasks} == {"completed"}
        history = await mesh.ledger.history(half)
        assert [event.seq for event in history.events] == list(range(1, len(history.events) + 1))


async def test_tables_that_were_there_move_aside_and_a_snapshot_that_cannot_be_loaded_moves_nothing(
    postgres,
    tmp_path: Path,  # type: ignore[no-untyped-def]  # fixture
) -> None:
    url, file = postgres.database(), tmp_path / "copy"
    async with hands(url, tmp_path / "blobs") as mesh:
        task = (await mesh.submit("a")).task.id
        found = await asyncio.to_thread(snapshot.take, url, file)
        await mesh.submit("later")
        with pytest.raises(Conflict, match="stop every control plane"):
            await asyncio.to_thread(restore, url, file, found)
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(Unavailable, match="pg_restore"):
        await asyncio.to_thread(restore, url, cut, found, "not this")
    async with hands(url, tmp_path / "blobs") as mesh:
        assert len(await mesh.ledger.list_tasks(limit=9)) == 2
    assert await asyncio.to_thread(restore, url, file, found, "before 1") == 1
    async with hands(url, tmp_path / "blobs") as mesh:
        assert [one.id for one in await mesh.ledger.list_tasks(limit=9)] == [task]
    with psycopg.connect(url) as conn:
        assert conn.execute('SELECT count(*) FROM "before 1".tasks').fetchone() == (2,)


async def test_a_snapshot_of_what_is_no_ledger_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await asyncio.to_thread(snapshot.take, url, tmp_path / "copy")
    with pytest.raises(Unavailable):
        await asyncio.to_thread(snapshot.take, "postgresql://nobody@/none?host=/nonexistent", tmp_path / "copy")


def test_a_home_on_postgresql_is_backed_up_and_restored_by_the_command(
    postgres,  # type: ignore[no-untyped-def]  # fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = postgres.database()
    monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONCILIUM_LEDGER__URL", url)

    async def fill(text: str) -> None:
        async with hands(url, tmp_path / "home" / "blobs") as mesh:
            await mesh.ledger.put_blob(text.encode(), key_id="key_1")
            await mesh.submit(text)

    async def tasks() -> list[str]:
        async with hands(url, tmp_path / "home" / "blobs") as mesh:
            await mesh.complete(await mesh.one())
            return [task.request.text for task in await mesh.ledger.list_tasks(limit=9)]

    asyncio.run(fill("a"))
    archive = str(tmp_path / "mesh.tar.gz")
    assert run(["backup", archive]) == 0
    asyncio.run(fill("b"))
    assert run(["restore", archive]) == 1
    assert "--force" in capsys.readouterr().err
    assert run(["restore", archive, "--force"]) == 0
    assert asyncio.run(tasks()) == ["a"]
    assert len([path for path in (tmp_path / "home" / "blobs").rglob("*") if path.is_file()]) == 1
    # Into an empty home beside a database that is in use: the database counts too.
    monkeypatch.setenv("CONCILIUM_HOME", str(tmp_path / "other"))
    assert run(["restore", archive]) == 1
    assert "holds a ledger already" in capsys.readouterr().err
