"""Budgets: whose work is still taken this month. Judged in the transaction that accepts a task."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from concilium.contracts.config import BudgetConfig
from concilium.contracts.costs import BudgetState, BudgetView
from concilium.contracts.errors import BudgetExhausted
from concilium.contracts.money import from_micros, to_micros
from concilium.contracts.task import Priority
from concilium.ledger import schema
from concilium.ledger.months import after, month_of
from concilium.ledger.spending import key_spent, mesh_spent
from concilium.ledger.tx import Rules, Tx

_k = schema.api_keys.c
_KEY_BUDGET = select(_k.budget).where(_k.id == bindparam("key_id"))
_KEYS_WITH_BUDGET = select(_k.id, _k.budget).where(_k.budget.is_not(None), _k.revoked_at.is_(None)).order_by(_k.id)
MESH = "mesh"


@dataclass(frozen=True)
class _Budget:
    name: str
    """``mesh``, or the id of a key."""
    limit: int
    spent: int

    def used(self) -> float:
        return self.spent / self.limit if self.limit else float("inf")

    def reached(self, part: float) -> bool:
        """Whether a part of the limit is used up; a limit of nothing is from the start."""
        return self.spent >= self.limit * part


def admit(tx: Tx, key_id: str, priority: Priority) -> str:
    """Return a warning when a budget is nearly used up, else an empty text.

    Raises:
        BudgetExhausted: a budget takes no new work of this priority any more.
    """
    warnings: list[str] = []
    config = tx.rules.budgets
    for budget in _budgets_on(tx, key_id):
        if budget.reached(_until(config, priority)):
            raise _refusal(budget, priority, tx)
        if budget.reached(config.warn_at):
            warnings.append(f"{_title(budget)} is {budget.used():.0%} used up for {month_of(tx.now)}")
    return "; ".join(warnings)


def views(conn: Connection, rules: Rules, now: float, key_id: str | None) -> tuple[BudgetView, ...]:
    """Return every budget in force, or that of one key alone."""
    month = month_of(now)
    found: list[_Budget] = []
    if key_id is None and rules.budgets.month:
        found.append(_Budget(MESH, to_micros(rules.budgets.month), mesh_spent(conn, month, rules.prices)))
    for row in conn.execute(_KEYS_WITH_BUDGET):
        if key_id in {None, row.id}:
            found.append(_Budget(row.id, row.budget, key_spent(conn, month, row.id)))
    return tuple(_view(budget, rules.budgets, month) for budget in found)


def _budgets_on(tx: Tx, key_id: str) -> list[_Budget]:
    """Return the budgets that a task of this key is on: the key's own, then the mesh's."""
    month, found = month_of(tx.now), []
    own = tx.conn.execute(_KEY_BUDGET, {"key_id": key_id}).scalar_one_or_none()
    if own is not None:
        found.append(_Budget(key_id, own, key_spent(tx.conn, month, key_id)))
    limit = to_micros(tx.rules.budgets.month)
    if limit:
        found.append(_Budget(MESH, limit, mesh_spent(tx.conn, month, tx.rules.prices)))
    return found


def _until(config: BudgetConfig, priority: Priority) -> float:
    return {
        Priority.LOW: config.low_until,
        Priority.NORMAL: config.normal_until,
        Priority.HIGH: config.high_until,
    }[priority]


def _refusal(budget: _Budget, priority: Priority, tx: Tx) -> BudgetExhausted:
    resets, currency = after(month_of(tx.now)), tx.rules.prices.currency
    spent, limit = from_micros(budget.spent), from_micros(budget.limit)
    taken = [str(p) for p in Priority if not budget.reached(_until(tx.rules.budgets, p))]
    still = f"work of priority {' and '.join(taken)} is still taken" if taken else "no new work is taken"
    return BudgetExhausted(
        f"{_title(budget)} is used up for priority {priority}: {spent:.2f} of {limit:.2f} {currency} spent; {still}. "
        f"It begins anew at {resets:%Y-%m-%d %H:%M} UTC, or when an admin raises it",
        budget=budget.name,
        spent=str(spent),
        limit=str(limit),
        currency=currency,
        priority=str(priority),
        still_taken=taken,
        resets_at=resets.isoformat(),
        retry_after_s=max(1.0, resets.timestamp() - tx.now),
    )


def _title(budget: _Budget) -> str:
    return "the mesh's budget" if budget.name == MESH else "this key's budget"


def _view(budget: _Budget, config: BudgetConfig, month: str) -> BudgetView:
    states = (
        (config.high_until, BudgetState.SPENT),
        (config.normal_until, BudgetState.NO_NORMAL),
        (config.low_until, BudgetState.NO_LOW),
        (config.warn_at, BudgetState.WARNING),
    )
    state = next((state for part, state in states if budget.reached(part)), BudgetState.OPEN)
    return BudgetView(
        budget=budget.name,
        limit=from_micros(budget.limit),
        spent=from_micros(budget.spent),
        used=min(budget.used(), 1e9),
        state=state,
        resets_at=after(month),
    )
