"""Costs by task, key, node and month, read from the month's sums; by task from the tasks of that month."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, select

from concilium.contracts.base import first_id
from concilium.contracts.costs import By, CostReport, CostRow
from concilium.contracts.money import from_micros
from concilium.ledger import schema
from concilium.ledger.budgets import views
from concilium.ledger.months import after, first_of, month_of
from concilium.ledger.spending import monthly_of
from concilium.ledger.tx import Rules

_s, _t, _k, _m = schema.spending.c, schema.tasks.c, schema.api_keys.c, schema.monthly_prices.c
MONTHS = 12
"""How many months a report by month goes back."""
_SUMS = tuple(
    func.sum(column).label(column.name)
    for column in (_s.caused, _s.share, _s.runs, _s.ms, _s.input_tokens, _s.output_tokens, _s.unpriced)
)


@dataclass(frozen=True)
class Asked:
    """What a report is asked for."""

    by: By
    month: str | None = None
    """None: the month that is."""
    key_id: str | None = None
    """Only what this key caused; None: everything."""
    limit: int = 50
    """Tasks on a page."""
    before: str | None = None
    """The last task already seen."""


def report(conn: Connection, rules: Rules, now: float, asked: Asked) -> CostReport:
    """Return the sums that are asked for, and the budgets that hold now."""
    month = asked.month or month_of(now)
    make = {By.TASK: _by_task, By.KEY: _by_key, By.NODE: _by_node, By.MONTH: _by_month}[asked.by]
    rows = tuple(make(conn, month, asked))
    more = asked.by is By.TASK and len(rows) > asked.limit
    shown = rows[: asked.limit] if more else rows
    return CostReport(
        by=asked.by,
        month=month,
        currency=rules.prices.currency,
        rows=shown,
        total=from_micros(_owed(conn, month, asked.key_id)),
        budgets=views(conn, rules, now, asked.key_id),
        next=shown[-1].name if more else None,
    )


def _by_task(conn: Connection, month: str, asked: Asked) -> Iterable[CostRow]:
    """Tasks made in the month, newest first; ids sort by time, so the primary key finds them."""
    query = (
        select(_t.id, _t.state, _t.cost, _t.unpriced)
        .where(_t.id >= first_id("task", first_of(month)), _t.id < first_id("task", after(month)))
        .order_by(_t.id.desc())
        .limit(asked.limit + 1)
    )
    if asked.key_id is not None:
        query = query.where(_t.key_id == asked.key_id)
    if asked.before is not None:
        query = query.where(_t.id < asked.before)
    for row in conn.execute(query):
        amount = from_micros(row.cost or 0)
        nothing = from_micros(0)
        yield CostRow(name=row.id, label=row.state, caused=amount, share=nothing, total=amount, unpriced=row.unpriced)


def _by_key(conn: Connection, month: str, asked: Asked) -> Iterable[CostRow]:
    query = select(_s.key_id, *_SUMS).where(_s.month == month).group_by(_s.key_id)
    if asked.key_id is not None:
        query = query.where(_s.key_id == asked.key_id)
    names = {row.id: row.name for row in conn.execute(select(_k.id, _k.name))}
    found = [_row(row, row.key_id, names.get(row.key_id, ""), row.caused + row.share) for row in conn.execute(query)]
    return sorted(found, key=lambda row: (-row.total, row.name))


def _by_node(conn: Connection, month: str, asked: Asked) -> Iterable[CostRow]:
    query = select(_s.kind, _s.name, *_SUMS).where(_s.month == month).group_by(_s.kind, _s.name)
    if asked.key_id is not None:
        query = query.where(_s.key_id == asked.key_id)
    monthly = monthly_of(conn, month) if asked.key_id is None else {}
    found = []
    for row in conn.execute(query):
        own = monthly.pop(row.name, 0) if row.kind == "node" else 0
        owed = row.caused + (own if asked.key_id is None else row.share)
        found.append(_row(row, row.name, row.kind, owed, own))
    for node, price in monthly.items():
        nothing = from_micros(0)
        found.append(
            CostRow(
                name=node, label="node", caused=nothing, share=nothing,
                monthly=from_micros(price), total=from_micros(price),
            )
        )  # fmt: skip
    return sorted(found, key=lambda row: (-row.total, row.name))


def _by_month(conn: Connection, month: str, asked: Asked) -> Iterable[CostRow]:
    first = first_of(month)
    back = first.year * 12 + first.month - MONTHS
    since = f"{back // 12:04d}-{back % 12 + 1:02d}"
    query = select(_s.month, *_SUMS).where(_s.month >= since, _s.month <= month).group_by(_s.month)
    if asked.key_id is not None:
        query = query.where(_s.key_id == asked.key_id)
    sums = {row.month: row for row in conn.execute(query)}
    owed = (
        select(_m.month, func.sum(_m.micros).label("micros"))
        .where(_m.month >= since, _m.month <= month)
        .group_by(_m.month)
    )
    monthly = {row.month: int(row.micros) for row in conn.execute(owed)} if asked.key_id is None else {}
    for name in sorted(sums.keys() | monthly.keys()):
        own = monthly.get(name, 0)
        if name not in sums:
            nothing, price = from_micros(0), from_micros(own)
            yield CostRow(name=name, caused=nothing, share=nothing, monthly=price, total=price)
            continue
        row = sums[name]
        yield _row(row, name, "", row.caused + (own if asked.key_id is None else row.share), own)


def _row(row: "Row[*tuple[object, ...]]", name: str, label: str, owed: int, monthly: int = 0) -> CostRow:
    sums = row._mapping
    return CostRow(
        name=name,
        label=label,
        caused=from_micros(int(sums["caused"])),
        share=from_micros(int(sums["share"])),
        monthly=from_micros(monthly),
        total=from_micros(int(owed)),
        runs=int(sums["runs"]),
        seconds=int(sums["ms"]) / 1000,
        input_tokens=int(sums["input_tokens"]),
        output_tokens=int(sums["output_tokens"]),
        unpriced=int(sums["unpriced"]),
    )


def _owed(conn: Connection, month: str, key_id: str | None) -> int:
    """Return what the mesh owes for a month, or what a key used of it."""
    query = select(func.coalesce(func.sum(_s.caused), 0), func.coalesce(func.sum(_s.share), 0)).where(_s.month == month)
    if key_id is None:
        return int(conn.execute(query).one()[0]) + sum(monthly_of(conn, month).values())
    caused, share = conn.execute(query.where(_s.key_id == key_id)).one()
    return int(caused) + int(share)
