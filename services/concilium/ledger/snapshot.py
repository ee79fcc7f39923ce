"""One moment of a ledger as one file, taken while others work on it, and a ledger made of such a file again."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, select, text, union
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from concilium.contracts.errors import Conflict, Unavailable
from concilium.ledger import migrate, postgres_tools, schema, sqlite
from concilium.ledger.revive import revive

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is."""
SQLITE, POSTGRES = "sqlite", "postgresql"
_LEAVING_S = 3.0
"""How long the server may take to let go of connections that were closed."""
TABLES = (*schema.metadata.tables, "alembic_version")


@dataclass(frozen=True)
class Snapshot:
    """What a snapshot holds."""

    kind: str
    """``sqlite`` or ``postgresql``: a snapshot becomes a ledger of the same kind."""
    revision: str
    taken_at: float
    """By the ledger's clock, seconds since the epoch."""
    tasks: int
    blobs: tuple[str, ...]
    """SHA-256 of every file that a row names."""


def kind_of(url: str) -> str:
    """Return the kind of database a ledger's URL names."""
    return make_url(url).get_backend_name()


def take(url: str, target: Path, progress: Progress | None = None) -> Snapshot:
    """Write the ledger of this moment into a file.

    Args:
        url: the ledger's, ``sqlite:///…`` or ``postgresql://…``; a running mesh goes on with its work.
        target: the file; for PostgreSQL an archive of ``pg_dump`` in its custom format.
        progress: told about pages of SQLite.

    Raises:
        Unavailable: there is no ledger, it cannot be read, or ``pg_dump`` is missing or too old.
    """
    if kind_of(url) == SQLITE:
        path = file_of(url)
        if not path.is_file():
            raise Unavailable(f"there is no ledger at {path}")
        taken_at = time.time()
        sqlite.copy_file(path, target, progress)
        with _opened(f"sqlite:///{target}") as conn:
            return _describe(conn, SQLITE, taken_at)
    with _opened(url) as conn:
        conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        taken_at = float(conn.execute(text("SELECT extract(epoch FROM now())")).scalar_one())
        found = _describe(conn, POSTGRES, taken_at)
        shared = str(conn.execute(text("SELECT pg_export_snapshot()")).scalar_one())
        postgres_tools.dump(url, target, TABLES, shared, _server_version(conn))
        return found


def put_back(url: str, source: Path, found: Snapshot, aside: str) -> int:
    """Make a snapshot ready to carry on, and that of a server the ledger at a URL; return its unfinished tasks.

    The file of SQLite is made ready where it is; the caller moves it to its place.

    Args:
        url: where the ledger shall be.
        source: the snapshot's file.
        found: what the snapshot holds.
        aside: a name for what was there before: tables of PostgreSQL move to a schema of that name.

    Raises:
        Unavailable: it cannot be read or is newer than this program; nothing was changed then.
    """
    migrate.check_known(found.revision)
    if found.kind == SQLITE:
        return _revive_file(source, found)
    with _opened(url) as conn:
        version, old = _server_version(conn), tables_of(conn)
        here = str(conn.execute(text("SELECT current_schema()")).scalar_one())
        if old:
            conn.execute(text(f'CREATE SCHEMA "{aside}"'))
            _move(conn, old, here, aside)
    try:
        postgres_tools.load(url, source, version)
    except Unavailable:
        with _opened(url) as conn:
            _move(conn, old, aside, here)
        raise
    with _opened(url) as conn:
        migrate.upgrade(conn)
        now = float(conn.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        return revive(conn, found.taken_at, now)


def check(source: Path, found: Snapshot) -> None:
    """Raise `Unavailable` unless a snapshot's file is sound and is what its description says."""
    migrate.check_known(found.revision)
    if found.kind == POSTGRES:
        postgres_tools.check(source)
        return
    try:
        with _opened(f"sqlite:///{source}") as conn:
            word = conn.execute(text("PRAGMA integrity_check")).scalar_one()
            real = _describe(conn, SQLITE, found.taken_at)
    except DBAPIError as error:
        raise Unavailable(f"the ledger in the backup is damaged: {error.orig}") from error
    if word != "ok" or real != found:
        raise Unavailable("the ledger in the backup is damaged, or not the one its manifest describes")


@contextmanager
def unused(url: str) -> Iterator[None]:
    """Hold a ledger that nobody works on. Raises `Conflict` when somebody does."""
    if kind_of(url) == SQLITE:
        path = file_of(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = sqlite.lock(path)
        except Unavailable as error:
            raise Conflict(f"{error.detail}; stop the mesh first: `concilium down`") from error
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)
        return
    if count := _connections(url):
        raise Conflict(f"{count} connections use the ledger's database; stop every control plane of it first")
    yield


def in_use(url: str) -> bool:
    """Whether a database already holds a ledger."""
    if kind_of(url) == SQLITE:
        return file_of(url).exists()
    with _opened(url) as conn:
        return bool(tables_of(conn))


def tables_of(conn: Connection) -> list[str]:
    """Return the ledger's tables that a database has."""
    return sorted(set(TABLES) & set(inspect(conn).get_table_names()))


def _connections(url: str) -> int:
    """Return how many others use a database, once those that are just leaving have left."""
    others = text(
        "SELECT count(*), pg_sleep(:pause) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    until = time.monotonic() + _LEAVING_S
    with _opened(url) as conn:
        while (count := int(conn.execute(others, {"pause": 0.05}).scalar_one())) and time.monotonic() < until:
            conn.execute(text("SELECT pg_stat_clear_snapshot()"))
    return count


def _describe(conn: Connection, kind: str, taken_at: float) -> Snapshot:
    revision = migrate.revision(conn) if tables_of(conn) else None
    if revision is None:
        raise Unavailable("the database holds no ledger")
    migrate.check_known(revision)
    named = union(select(schema.blob_refs.c.sha256), select(schema.blob_owners.c.sha256))
    blobs = tuple(sorted(conn.execute(named).scalars()))
    tasks = conn.execute(text("SELECT count(*) FROM tasks")).scalar_one()
    return Snapshot(kind, revision, taken_at, int(tasks), blobs)


def _revive_file(path: Path, found: Snapshot) -> int:
    sqlite.migrate_file(path)
    for copy in path.parent.glob(f"{path.name}.before-*"):
        copy.unlink()  # the backup itself is the older state
    with _opened(f"sqlite:///{path}") as conn:
        unfinished = revive(conn, found.taken_at, time.time())
    with _opened(f"sqlite:///{path}") as conn:
        conn.execute(text("PRAGMA journal_mode=DELETE"))  # one file, without a log beside it
    return unfinished


def _move(conn: Connection, tables: list[str], source: str, target: str) -> None:
    for name in tables:
        conn.execute(text(f'ALTER TABLE "{source}"."{name}" SET SCHEMA "{target}"'))


def file_of(url: str) -> Path:
    """Return the file that a ledger's SQLite URL names."""
    return Path(make_url(url).database or "")


def _server_version(conn: Connection) -> int:
    return int(conn.execute(text("SHOW server_version_num")).scalar_one()) // 10_000


@contextmanager
def _opened(url: str) -> Iterator[Connection]:
    """Yield a connection of its own inside a transaction. Raises `Unavailable` when there is none to be had."""
    parsed = make_url(url)
    if parsed.get_backend_name() == POSTGRES:
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine: Engine = create_engine(parsed, poolclass=NullPool)
    try:
        conn = engine.connect()
    except DBAPIError as error:
        raise Unavailable(f"the ledger's database cannot be opened: {error.orig}") from error
    try:
        with conn, conn.begin():
            yield conn
    finally:
        engine.dispose()
