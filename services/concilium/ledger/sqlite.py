"""SQLite: one writer thread with group commit, a few readers, one opener of the file."""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from concilium.contracts.errors import Unavailable
from concilium.ledger import migrate
from concilium.ledger.store import OnCommit, Op, P, Query, Store, T, answer, count_statements
from concilium.ledger.tx import Rules, Tx

GROUP_MAX = 64
"""Operations in one transaction."""
_READERS = 3
_COPY_PAGES = 4096
"""Pages copied between two looks at the progress: 16 MiB."""


@dataclass
class _Job:
    run: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    result: Any = None


class SqliteStore(Store):
    """Writes go through one thread; up to `GROUP_MAX` waiting operations share a transaction, a savepoint each."""

    def __init__(self, path: Path, rules: Rules, on_commit: OnCommit) -> None:
        super().__init__(rules, on_commit)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.folder = path.parent
        self._lock = lock(path)
        try:
            migrate_file(path)
        except BaseException:
            os.close(self._lock)
            raise
        self._writer = _engine(path, begin="BEGIN IMMEDIATE", readers=0)
        count_statements(self._writer, self.counters)
        self._reader = _engine(path, begin="BEGIN", readers=_READERS)
        self._looker = _engine(path, begin="", readers=1)
        self._looking = self._looker.connect()
        self._read_pool = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger-read")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="ledger-write", daemon=True)
        self._thread.start()

    async def write(self, op: "Op[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise Unavailable("the ledger is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(lambda tx: op(tx, *args, **kwargs), loop, future))
        return await future

    async def read(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with self._reader.begin() as conn:
                return query(conn, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._read_pool, run)

    async def look(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        # A look takes a tenth of a millisecond; handing it to a thread takes longer. Readers never wait for the writer.
        return query(self._looking, *args, **kwargs)

    async def synchronise(self) -> None:
        """The file has one opener, so this process's clock is the ledger's."""

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._read_pool.shutdown()
        self._looking.close()
        self._looker.dispose()
        self._reader.dispose()
        self._writer.dispose()
        os.close(self._lock)

    def _serve(self) -> None:
        with self._writer.connect() as conn:
            while (batch := self._next_batch()) is not None:
                self._run(conn, batch)
                _answer(batch)

    def _next_batch(self) -> list[_Job] | None:
        """Wait for a job and take those that wait behind it; None once the store is closed and empty."""
        job = self._jobs.get()
        if job is None:
            return None
        batch = [job]
        while len(batch) < GROUP_MAX:
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._jobs.put(None)
                break
            batch.append(more)
        return batch

    def _run(self, conn: Connection, batch: list[_Job]) -> None:
        """Run a batch in one transaction; should the transaction break, run each job in its own."""
        try:
            self._commit(conn, batch)
        except Exception as error:  # noqa: BLE001  # the writer thread must outlive every job
            if len(batch) == 1:
                batch[0].result = error
                return
            for job in batch:
                self._run(conn, [job])

    def _commit(self, conn: Connection, batch: list[_Job]) -> None:
        done: list[Tx] = []
        with conn.begin():
            for job in batch:
                tx = self._tx(conn)
                if len(batch) == 1:
                    job.result = job.run(tx)
                    done.append(tx)
                elif _run_in_savepoint(conn, job, tx):
                    done.append(tx)
        if done:
            self._committed(done)


def _run_in_savepoint(conn: Connection, job: _Job, tx: Tx) -> bool:
    """Run one job of several; its refusal undoes only its own writes. Whether it succeeded."""
    raw = conn.connection.cursor()  # plain SQL: these bounds are half of all statements and need no more
    raw.execute("SAVEPOINT op")
    try:
        job.result = job.run(tx)
    except DBAPIError:
        raise  # SQLite may have rolled back the whole transaction by itself
    except Exception as error:  # noqa: BLE001  # handed to the caller of the job
        raw.execute("ROLLBACK TO op")
        raw.execute("RELEASE op")
        job.result = error
        return False
    raw.execute("RELEASE op")
    return True


def _answer(batch: list[_Job]) -> None:
    """Settle the futures, with one wake-up per event loop."""
    loops = {job.loop for job in batch}
    for loop in loops:
        mine = [job for job in batch if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_settle, mine)
        except RuntimeError:
            continue  # the loop is closed: nobody waits any more


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        answer(job.future, job.result)


def migrate_file(path: Path) -> None:
    """Bring a file to the newest schema in one transaction; a file with an older schema is copied first.

    The caller holds the `lock`. The copy, ``<name>.before-<revision>``, stays: the migration is checked, but a
    program that was wrong about its data cannot be undone without one.

    Raises:
        Unavailable: the file was written by a newer program.
        MigrationFailed: a migration broke off, or left rows that refer to nothing; the file is as it was.
    """
    # Foreign keys are off: a migration that makes a table anew drops the old one, and with it all that refers to it.
    engine = _engine(path, begin="BEGIN IMMEDIATE", readers=0, foreign_keys=False)
    try:
        with engine.begin() as conn:
            before = migrate.revision(conn)
        migrate.check_known(before)
        if before is not None and before != migrate.newest():
            copy_file(path, path.with_name(f"{path.name}.before-{migrate.newest()}"))
        with engine.begin() as conn:
            migrate.upgrade(conn)
            loose = conn.exec_driver_sql("PRAGMA foreign_key_check").first()
            if loose is not None:
                raise migrate.MigrationFailed(
                    f"after the migration a row of {loose[0]} refers to a missing row of {loose[2]}. Nothing was "
                    "changed: start the concilium you had before, and report this"
                )
    finally:
        engine.dispose()


def copy_file(path: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy a database at one moment, while others may write to it, by SQLite's online backup; atomic.

    Args:
        path: the database.
        target: the copy; an older one is replaced.
        progress: told pages done and pages in all.

    Raises:
        Unavailable: there is no such database, or it cannot be read.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30.0)) as source:
            source.isolation_level = None
            # Inside a read transaction the source stands still; without, every foreign commit starts the copy anew.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            with closing(sqlite3.connect(part)) as copy:
                copy.execute("PRAGMA synchronous=OFF")
                source.backup(
                    copy, pages=_COPY_PAGES, progress=lambda _, left, pages: progress and progress(pages - left, pages)
                )
                copy.execute("PRAGMA journal_mode=DELETE")
            source.execute("ROLLBACK")
        _flush(part)
        part.replace(target)
    except sqlite3.Error as error:
        raise Unavailable(f"{path} cannot be copied: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def lock(path: Path) -> int:
    """Take the exclusive lock beside the file. Raises `Unavailable` when another process holds it."""
    handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise Unavailable(f"{path} is open in another process; a SQLite ledger has one opener") from error
    return handle


def _engine(path: Path, *, begin: str, readers: int, foreign_keys: bool = True) -> Engine:
    """Return an engine of ``readers`` connections, or of one writer for 0.

    Its transactions start with ``begin``; without one, each statement sees the newest commit by itself.
    """
    connect = partial(sqlite3.connect, path, timeout=30.0, isolation_level=None, check_same_thread=False)
    pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": readers} if readers else {"poolclass": StaticPool}
    engine = create_engine("sqlite://", creator=connect, **pool)

    def prepare(raw: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        keys = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", keys, "temp_store=MEMORY"):
            raw.execute(f"PRAGMA {pragma}")
        if readers:
            raw.execute("PRAGMA query_only=ON")

    def start(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    event.listen(engine, "connect", prepare)
    if begin:
        event.listen(engine, "begin", start)
    return engine
