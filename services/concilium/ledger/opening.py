"""Opening the ledger, running its operations, and waiting for their commits."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from concilium.contracts import limits
from concilium.contracts.config import BudgetConfig
from concilium.contracts.errors import DiskFull, Invalid, Unavailable
from concilium.contracts.prices import Prices
from concilium.ledger import reads
from concilium.ledger.blobs import Blobs
from concilium.ledger.pace import Pace
from concilium.ledger.postgres import PostgresStore
from concilium.ledger.spending import check_currency, counted
from concilium.ledger.sqlite import SqliteStore
from concilium.ledger.store import OnCommit, Op, P, Query, Space, Store, T, is_disk_full
from concilium.ledger.tx import AdvanceFn, Move, Rules
from concilium.ledger.waiters import Waiters

POLL_S = 1.0
"""Where other processes write too, a waiter looks by itself this often."""


class OpenLedger:
    """A database and a folder of blobs, open; used from the event loop that opened it."""

    def __init__(self, store: Store, blobs: Blobs, space: Space, waiters: Waiters, *, poll_s: float | None) -> None:
        self._store = store
        self._blobs = blobs
        self._space = space
        self._waiters = waiters
        self._poll_s = poll_s
        self._calm_until = time.monotonic() + store.rules.lease_ttl_s
        self._swept = time.monotonic()
        self._pace = Pace()
        self._month = ""
        """The month whose monthly prices this process has written down."""

    @classmethod
    async def open(
        cls,
        url: str,
        blobs: Path,
        advance: AdvanceFn,
        *,
        lease_ttl_s: float = limits.LEASE_TTL_S,
        min_free_bytes: int = 0,
        check_fence: bool = True,
        on_commit: Callable[[set[str]], None] | None = None,
        on_moves: Callable[[Sequence[Move]], None] | None = None,
        prices: Prices = Prices(),  # noqa: B008 - frozen
        budgets: BudgetConfig = BudgetConfig(),  # noqa: B008 - frozen
    ) -> Self:
        """Migrate the database to the newest schema and open it.

        Args:
            url: ``sqlite:///<path>`` (this process becomes the only opener) or ``postgresql://…``.
            blobs: folder of the content-addressed files.
            advance: the brain's pure fold, called inside transactions.
            lease_ttl_s: how long a lease lasts without renewal, in seconds.
            min_free_bytes: below this much free disk new tasks are refused.
            check_fence: False only to prove that a checker notices commits under stale fences.
            on_commit: told in a database thread, after each commit, which tasks changed (e.g. to publish it).
            on_moves: told in a database thread, after each commit, what came to which state and what it cost.
            prices: what runs and engines cost from now on.
            budgets: what a month may cost.

        Raises:
            Unavailable: another process has the SQLite file open, or the database cannot be reached.
            Invalid: the URL names neither database, or the ledger holds costs in another currency.
        """
        rules, waiters = Rules(advance, lease_ttl_s, check_fence, prices, budgets), Waiters()
        committed = _announcer(waiters, on_commit, on_moves)
        store = await asyncio.to_thread(_open_store, url, rules, committed)
        try:
            await store.read(check_currency, prices.currency)
            await store.synchronise()
        except BaseException:
            await store.close()
            raise
        files = Blobs(blobs)
        poll_s = POLL_S if isinstance(store, PostgresStore) else None
        folders = (blobs, store.folder) if isinstance(store, SqliteStore) else (blobs,)
        return cls(store, files, Space(folders, min_free_bytes), waiters, poll_s=poll_s)

    async def close(self) -> None:
        """Finish what was accepted and let go of the database."""
        await self._store.close()

    async def wait(self, task_id: str, after: int, timeout_s: float) -> bool:
        """Wait until the task has an event newer than ``after``; False when none came in time.

        Raises:
            NotFound: there is no such task.
        """
        end = time.monotonic() + timeout_s
        with self._waiters.listen(task_id) as news:
            while news.seq <= after and await self._look(reads.last_seq, task_id) <= after:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                try:
                    await asyncio.wait_for(
                        news.changed.wait(), left if self._poll_s is None else min(left, self._poll_s)
                    )
                except TimeoutError:
                    continue
                news.changed.clear()
        return True

    def refusal(self) -> DiskFull | None:
        """Return why new tasks are refused for lack of space, None when they are taken."""
        return self._space.refusal()

    def wake(self, task_ids: set[str]) -> None:
        """Wake the waiters of tasks that another process has changed (e.g. on a published note)."""
        self._waiters.wake(dict.fromkeys(task_ids, 0))

    async def _write(self, op: "Op[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._store.write(counted(op), *args, **kwargs)
        except DBAPIError as error:
            raise self._refusal(error) from error

    async def _read(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._store.read(query, *args, **kwargs)
        except DBAPIError as error:
            raise self._refusal(error) from error

    async def _look(self, query: "Query[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await self._store.look(query, *args, **kwargs)
        except DBAPIError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: DBAPIError | OSError) -> Exception:
        """Return what the caller is told of a database's or disk's trouble."""
        if is_disk_full(error):
            return self._space.filled()
        if isinstance(error, OperationalError | InterfaceError):
            return Unavailable("the database cannot be used now; try again", retry_after_s=1)
        return error


def _open_store(url: str, rules: Rules, committed: OnCommit) -> Store:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Invalid("the ledger's URL cannot be read; use sqlite:///<path> or postgresql://…") from error
    kind = parsed.get_backend_name()
    try:
        if kind == "sqlite" and parsed.database:
            return SqliteStore(Path(parsed.database), rules, committed)
        if kind == "postgresql":
            return PostgresStore(url, rules, committed)
    except DBAPIError as error:
        raise Unavailable(f"the {kind} database cannot be opened: {error.orig}") from error
    raise Invalid(f"the ledger's URL names {kind!r}; use sqlite:///<path> or postgresql://…")


def _announcer(
    waiters: Waiters,
    on_commit: Callable[[set[str]], None] | None,
    on_moves: Callable[[Sequence[Move]], None] | None,
) -> OnCommit:
    """Return what the database threads call after a commit."""
    loop = asyncio.get_running_loop()

    def committed(touched: dict[str, int], moves: Sequence[Move]) -> None:
        if waiters.any() and not loop.is_closed():
            loop.call_soon_threadsafe(waiters.wake, touched)
        if on_commit is not None:
            on_commit(set(touched))
        if on_moves is not None and moves:
            on_moves(moves)

    return committed
