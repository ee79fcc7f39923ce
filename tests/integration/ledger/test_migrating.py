"""A ledger of an earlier release, as a stored dump, is brought to the newest schema and worked on."""

import shutil
import sqlite3
from pathlib import Path

import psycopg
import pytest

from concilium.contracts.errors import Unavailable
from concilium.ledger import hash_of, migrate
from support.ledgers import hands

DATA = Path(__file__).resolve().parents[2] / "data"
SECRET = "ck_" + "d" * 43
HOOK = "https://example.org/hook"
FILE = b"a file of the release before"
STATES = {
    "a b": "completed", "fail": "working", "c d": "working", "e": "canceled", "f g": "submitted",
    "ask h": "input-required",
}  # fmt: skip


@pytest.fixture
def old(url: str) -> str:
    """A database with the dump of schema 0001 in it."""
    kind = url.partition(":")[0]
    script = (DATA / f"ledger-0001.{kind}.sql").read_text()
    if kind == "sqlite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as conn:
            conn.executescript(script)
        conn.close()
    else:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(script.encode())
    return url


def dump(url: str) -> list[tuple[object, ...]]:
    """Return what a database says of its schema revision and its tasks."""
    query = "SELECT id, state, last_seq, (SELECT version_num FROM alembic_version) FROM tasks ORDER BY id"
    if url.startswith("sqlite"):
        found = sqlite3.connect(url.removeprefix("sqlite:///"))
        rows = found.execute(query).fetchall()
        found.close()
        return rows
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


async def test_every_task_of_an_earlier_release_can_be_read_and_worked_on(old: str, tmp_path: Path) -> None:
    assert {row[3] for row in dump(old)} == {"0001"}
    async with hands(old, tmp_path / "blobs", lease_ttl_s=0.2) as mesh:
        key = await mesh.ledger.find_key(hash_of(SECRET))
        assert key is not None
        await mesh.ledger.put_blob(FILE, key_id=key.id)
        tasks = {task.request.text: task for task in await mesh.ledger.list_tasks(limit=50)}
        assert {text: task.state.value for text, task in tasks.items()} == STATES
        assert await mesh.ledger.events(tasks["a b"].id)
        answer = tasks["a b"].answer
        assert answer is not None
        assert answer.outputs == {"a": {"said": "a"}, "b": {"said": "b"}}
        again = await mesh.submit(
            "a b", tasks["a b"].request.files, key_id=key.id, idempotency_key="first", callback_url=HOOK
        )
        assert again.replayed
        assert again.task.id == tasks["a b"].id
        await mesh.ledger.reply(tasks["ask h"].id, "this one")
        replayed = await mesh.ledger.replay(tasks["e"].id, key.id)
        for _ in range(7):  # fail, c, d, f, g, what was asked for, and the replay
            await mesh.complete(await mesh.soon())
        states = {await mesh.state(task.id) for text, task in tasks.items() if text not in {"a b", "e"}}
        assert states == {"completed"}
        assert await mesh.state(replayed.task.id) == "completed"
        assert [delivery.task_id for delivery in await mesh.ledger.outbox_due()] == [tasks["a b"].id]
    assert {row[3] for row in dump(old)} == {migrate.newest()}


async def test_an_older_sqlite_file_is_kept_as_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with sqlite3.connect(path) as conn:
        conn.executescript((DATA / "ledger-0001.sqlite.sql").read_text())
    conn.close()
    before = dump(f"sqlite:///{path}")
    for _ in range(2):
        async with hands(f"sqlite:///{path}", tmp_path / "blobs"):
            pass
    assert dump(f"sqlite:///{path}.before-{migrate.newest()}") == before


async def test_a_migration_that_breaks_off_changes_nothing_and_says_what_to_do(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.SCRIPTS, scripts)
    (scripts / "versions" / "9999_broken.py").write_text(
        f'revision, down_revision = "9999", "{migrate.newest()}"\n'
        "branch_labels = depends_on = None\n"
        "from alembic import op\n"
        "def upgrade():\n"
        "    op.execute(\"UPDATE tasks SET state = 'lost'\")\n"
        '    op.drop_table("events")\n'
        "    raise RuntimeError('the power of the test')\n"
    )
    before = dump(old)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "SCRIPTS", scripts)
        with pytest.raises(Unavailable, match=r"from schema 0001 to 9999 .*Nothing was changed"):
            async with hands(old, tmp_path / "blobs"):
                pass
    assert dump(old) == before
    async with hands(old, tmp_path / "blobs") as mesh:
        assert len(await mesh.ledger.list_tasks(limit=50)) == len(STATES)
        assert await mesh.ledger.events((await mesh.ledger.list_tasks(limit=1))[0].id)


async def test_a_migration_that_makes_a_table_anew_keeps_what_refers_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite3"
    with sqlite3.connect(path) as conn:
        conn.executescript((DATA / "ledger-0001.sqlite.sql").read_text())
        events = conn.execute("SELECT count(*) FROM events").fetchone()
    conn.close()
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.SCRIPTS, scripts)
    (scripts / "versions" / "9999_anew.py").write_text(
        f'revision, down_revision = "9999", "{migrate.newest()}"\n'
        "branch_labels = depends_on = None\n"
        "from alembic import op\n"
        "def upgrade():\n"
        '    with op.batch_alter_table("tasks", recreate="always"):\n'
        "        pass\n"
    )
    monkeypatch.setattr(migrate, "SCRIPTS", scripts)
    async with hands(f"sqlite:///{path}", tmp_path / "blobs"):
        pass
    with sqlite3.connect(path) as conn:
        assert conn.execute("SELECT count(*) FROM events").fetchone() == events
    conn.close()


async def test_a_ledger_of_a_newer_release_is_left_alone(old: str, tmp_path: Path) -> None:
    newer = "UPDATE alembic_version SET version_num = '9998'"
    if old.startswith("sqlite"):
        with sqlite3.connect(old.removeprefix("sqlite:///")) as conn:
            conn.execute(newer)
        conn.close()
    else:
        with psycopg.connect(old, autocommit=True) as server:
            server.execute(newer)
    before = dump(old)
    with pytest.raises(Unavailable, match="newer concilium"):
        async with hands(old, tmp_path / "blobs"):
            pass
    assert dump(old) == before
