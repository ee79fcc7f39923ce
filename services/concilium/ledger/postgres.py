"""PostgreSQL: a small thread pool, one transaction an operation, row locks where rows are judged."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from concilium.contracts.errors import Unavailable
from concilium.ledger import migrate
from concilium.ledger.store import READING, OnCommit, Op, P, Query, Store, T, count_statements, is_disk_full
from concilium.ledger.tx import Rules, Tx

_log = logging.getLogger(__name__)
THREADS = 8
_TRIES = 6
_AGAIN = {"40001", "40P01"}
"""Serialization failure and deadlock: the transaction was rolled back and may be run again."""


class PostgresStore(Store):
    """Operations run on `THREADS` threads; several processes may share the database."""

    def __init__(self, url: str, rules: Rules, on_commit: OnCommit) -> None:
        super().__init__(rules, on_commit)
        self._engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=THREADS,
            max_overflow=0,
            pool_pre_ping=False,
            connect_args={"prepare_threshold": 2, "connect_timeout": 10},
        )
        try:
            with self._engine.begin() as conn:
                migrate.upgrade(conn)
        except BaseException:
            self._engine.dispose()
            raise
        count_statements(self._engine, self.counters)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ledger-db")
        self._guard = threading.Lock()
        self._closed = False

    async def write(self, op: "Op[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._on_thread(lambda: self._write(lambda tx: op(tx, *args, **kwargs)))

    async def read(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with self._engine.connect() as conn:
                return query(conn.execution_options(**{READING: True}), *args, **kwargs)

        return await self._on_thread(lambda: _patiently(run))

    async def look(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.read(query, *args, **kwargs)

    async def synchronise(self) -> None:
        self.clock.follow(*await self.read(_database_now))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    async def _on_thread(self, run: Callable[[], T]) -> T:
        if self._closed:
            raise Unavailable("the ledger is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _write(self, run: Callable[[Tx], T]) -> T:
        def once() -> T:
            with self._engine.connect() as conn, conn.begin() as transaction:
                tx = self._tx(conn)
                result = run(tx)
                try:
                    transaction.commit()
                except OperationalError as error:
                    raise Unavailable("the database went away during a commit; its outcome is unknown") from error
            with self._guard:
                self._committed([tx])
            return result

        return _patiently(once)


def _patiently(run: Callable[[], T]) -> T:
    """Run a transaction again when the database rolled it back or the connection was lost before its commit.

    Raises:
        Unavailable: it did not work `_TRIES` times.
    """
    for turn in range(_TRIES):
        try:
            return run()
        except OperationalError as error:
            again = getattr(error.orig, "sqlstate", None) in _AGAIN or error.connection_invalidated
            if is_disk_full(error) or not again:
                raise
            _log.info("transaction runs again", extra={"reason": str(error.orig)})
            time.sleep(random.uniform(0, 0.01 * 2**turn))  # noqa: S311  # jitter between rivals, not a secret
    raise Unavailable("the database rolled the transaction back again and again; try later")


def _database_now(conn: Connection) -> tuple[float, float, float]:
    """Return the database's clock between two looks at ours, taken on the thread that asks."""
    asked = time.time()
    found = float(conn.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return asked, found, time.time()
