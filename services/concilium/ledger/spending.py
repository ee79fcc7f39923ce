"""The month's sums: what operations add, and what is read of them.

A sum is one row for each month, key and node or engine, so that reading costs the same after a million tasks. On
PostgreSQL it is split by task into `SHARDS` rows: rivals that add to the same row would wait for each other's commit.
"""

from collections import Counter, defaultdict
from zlib import crc32

from sqlalchemy import Connection, Insert, Table, bindparam, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from concilium.contracts.errors import Invalid
from concilium.contracts.prices import Prices
from concilium.ledger import schema
from concilium.ledger.months import month_of
from concilium.ledger.store import Op, P, T
from concilium.ledger.tx import Charge, Tx

SHARDS = 8
_s, _m = schema.spending.c, schema.monthly_prices.c
_SUMMED = ("caused", "share", "runs", "ms", "input_tokens", "output_tokens", "unpriced")
_Place = tuple[str, str, str, str, int]
"""Month, key, kind, name, shard: the primary key of a sum."""


def _upserts(table: Table, added: tuple[str, ...], replaced: tuple[str, ...]) -> dict[str, Insert]:
    """Return, by dialect, an insert that adds to these columns of a row that is there already, and replaces those."""
    made: dict[str, Insert] = {}
    for name, insert in (("sqlite", sqlite.insert(table)), ("postgresql", postgresql.insert(table))):
        values = {column: table.c[column] + insert.excluded[column] for column in added}
        values |= {column: insert.excluded[column] for column in replaced}
        made[name] = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
    return made


_ADD = _upserts(schema.spending, _SUMMED, ("currency",))
_STATE = _upserts(schema.monthly_prices, (), ("currency", "micros"))


def counted(op: "Op[P, T]") -> "Op[P, T]":
    """Return the operation with its charges added to the month's sums as its last statement.

    Last, so that no transaction holds a row of sums while it waits for a task's: they cannot deadlock.
    """

    def run(tx: Tx, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = op(tx, *args, **kwargs)
        if tx.charges:
            record(tx)
        return result

    return run


def record(tx: Tx) -> None:
    """Add the charges to the month's sums, in the order of their keys."""
    month, sums = month_of(tx.now), defaultdict[_Place, Counter[str]](Counter)
    for charge in tx.charges:
        shard = crc32(charge.task_id.encode()) % SHARDS if tx.shared else 0
        sums[month, charge.key_id, charge.kind, charge.name, shard].update(_values_of(charge))
    rows: list[dict[str, object]] = [
        {"month": place[0], "key_id": place[1], "kind": place[2], "name": place[3], "shard": place[4]}
        | {"currency": tx.rules.prices.currency}
        | {name: sums[place][name] for name in _SUMMED}
        for place in sorted(sums)
    ]
    tx.conn.execute(_ADD[tx.conn.dialect.name], rows)


def _values_of(charge: Charge) -> dict[str, int]:
    return {
        "caused": charge.spent.caused,
        "share": charge.spent.share,
        "runs": charge.runs,
        "ms": charge.ms,
        "input_tokens": charge.input_tokens,
        "output_tokens": charge.output_tokens,
        "unpriced": charge.unpriced,
    }


def state_monthly(tx: Tx) -> None:
    """Write down the monthly prices of the month that is; past months keep theirs."""
    month, prices = month_of(tx.now), tx.rules.prices
    rows: list[dict[str, object]] = [
        {"month": month, "node": node, "currency": prices.currency, "micros": micros}
        for node, micros in sorted(prices.monthly.items())
    ]
    if rows:
        tx.conn.execute(_STATE[tx.conn.dialect.name], rows)


def monthly_of(conn: Connection, month: str) -> dict[str, int]:
    """Return the monthly prices that were owed in a month, by node."""
    query = select(_m.node, _m.micros).where(_m.month == bindparam("month"))
    return {row.node: row.micros for row in conn.execute(query, {"month": month})}


_KEY_SPENT = select(func.coalesce(func.sum(_s.caused + _s.share), 0)).where(
    _s.month == bindparam("month"), _s.key_id == bindparam("key_id")
)
_MESH_CAUSED = select(func.coalesce(func.sum(_s.caused), 0)).where(_s.month == bindparam("month"))


def key_spent(conn: Connection, month: str, key_id: str) -> int:
    """Return what a key's tasks cost in a month, their share of monthly prices included."""
    return int(conn.execute(_KEY_SPENT, {"month": month, "key_id": key_id}).scalar_one())


def mesh_spent(conn: Connection, month: str, prices: Prices) -> int:
    """Return what the mesh owes for the month that is: what work caused, and every monthly price."""
    monthly = monthly_of(conn, month) | prices.monthly
    return int(conn.execute(_MESH_CAUSED, {"month": month}).scalar_one()) + sum(monthly.values())


def check_currency(conn: Connection, currency: str) -> None:
    """Raise `Invalid` when the ledger holds costs in another currency: they could not be added to new ones."""
    spent = select(_s.currency).where(_s.currency != currency, or_(_s.caused > 0, _s.share > 0)).limit(1)
    owed = select(_m.currency).where(_m.currency != currency).limit(1)
    for query in (spent, owed):
        found = conn.execute(query).scalar_one_or_none()
        if found is not None:
            raise Invalid(
                f"prices.yaml: currency: is {currency}, but this ledger holds costs in {found}; "
                f"state the prices in {found}"
            )
