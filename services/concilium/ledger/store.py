"""Where operations run: the interface of both databases and what they share."""

import asyncio
import errno
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

from concilium.contracts.errors import DiskFull
from concilium.ledger.clock import Clock
from concilium.ledger.tx import Move, Rules, Tx

_log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")
Op = Callable[Concatenate[Tx, P], T]
"""A write operation: ``op(tx, …)``; may run more than once, commits at most once."""
Query = Callable[Concatenate[Connection, P], T]
"""A read operation: ``query(conn, …)``."""
OnCommit = Callable[[dict[str, int], Sequence[Move]], None]
"""Told in the writing thread, after each commit, which tasks changed with their newest sequence numbers, and how."""


READING = "ledger_reading"
"""Execution option of connections that only read."""
_BOUNDS = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


@dataclass
class Counters:
    """What this process has written since it opened the ledger."""

    commits: int = 0
    statements: int = 0
    operations: int = 0


class Store(ABC):
    """Runs operations in transactions of one database."""

    def __init__(self, rules: Rules, on_commit: OnCommit) -> None:
        self.rules = rules
        self.clock = Clock()
        self.counters = Counters()
        self._on_commit = on_commit

    @abstractmethod
    async def write(self, op: "Op[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an operation in a write transaction; return its result after the commit."""

    @abstractmethod
    async def read(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query on what is committed, however long it takes."""

    @abstractmethod
    async def look(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query that finds a few rows by their key, where that costs least."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was accepted and let go of the database."""

    @abstractmethod
    async def synchronise(self) -> None:
        """Take over the database's clock where several processes share it."""

    def _tx(self, conn: Connection) -> Tx:
        return Tx(conn, self.clock.now(), self.rules)

    def _committed(self, transactions: list[Tx]) -> None:
        self.counters.commits += 1
        self.counters.operations += len(transactions)
        touched: dict[str, int] = {}
        moves: list[Move] = []
        for tx in transactions:
            touched.update(tx.touched)
            moves += tx.moves
            moves += tx.charges
        if touched:
            try:
                self._on_commit(touched, moves)
            except Exception:  # noqa: BLE001  # the commit stands, whatever its listeners do
                _log.exception("a listener of commits failed")


def count_statements(engine: Engine, counters: Counters) -> None:
    """Count the statements of write transactions, without those that only bound them."""

    def count(
        conn: Connection, _cursor: DBAPICursor, sql: str, _args: object, _ctx: ExecutionContext | None, _many: bool
    ) -> None:
        if not sql.startswith(_BOUNDS) and READING not in conn.get_execution_options():
            counters.statements += 1

    event.listen(engine, "before_cursor_execute", count)


class Space:
    """Watches the disk: refuses new tasks while it is nearly full, so that work under way can end."""

    LOOK_EVERY_S = 1.0
    FULL_FOR_S = 5.0
    """After the database said that the disk is full, the next submission is tried after this time."""
    RETRY_AFTER_S = 5

    def __init__(self, folders: tuple[Path, ...], min_free_bytes: int) -> None:
        self._folders = folders
        self._min_free = min_free_bytes
        self._looked = float("-inf")
        self._free = 0
        self._full_until = float("-inf")

    def filled(self) -> DiskFull:
        """Note that a write failed for lack of space; return what its caller is told."""
        self._full_until = time.monotonic() + self.FULL_FOR_S
        return self._refusal("the disk is full")

    def refusal(self) -> DiskFull | None:
        """Return why new work is refused now, None when there is room."""
        now = time.monotonic()
        if now - self._looked > self.LOOK_EVERY_S:
            self._free = min(shutil.disk_usage(folder).free for folder in self._folders)
            self._looked = now
        if now < self._full_until:
            return self._refusal("the disk is full")
        if self._free < self._min_free:
            return self._refusal("the disk is nearly full")
        return None

    def check(self) -> None:
        """Raise `DiskFull` unless there is room for new work."""
        refused = self.refusal()
        if refused is not None:
            raise refused

    def _refusal(self, what: str) -> DiskFull:
        return DiskFull(
            f"{what}: {self._free} bytes are free and {self._min_free} are kept in reserve; new tasks are taken again "
            "by themselves when there is room: free some space, or run `concilium gc`",
            retry_after_s=self.RETRY_AFTER_S,
            free_bytes=self._free,
            reserve_bytes=self._min_free,
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no space: SQLite's FULL, PostgreSQL's 53100, the system's ENOSPC."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    origin = getattr(error, "orig", error)
    return getattr(origin, "sqlite_errorname", "").startswith("SQLITE_FULL") or (
        getattr(origin, "sqlstate", None) == "53100"
    )


def answer(future: "asyncio.Future[T]", result: "T | BaseException") -> None:
    """Settle a future unless its waiter has gone."""
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
