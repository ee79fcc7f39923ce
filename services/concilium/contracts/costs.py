"""Costs as callers see them: of a task, of a month, and budgets."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from concilium.contracts.base import Model


class Cost(Model):
    """What a task has cost so far."""

    amount: Decimal
    """In units of the currency, six decimals; the task's share of monthly prices is in it."""
    currency: str
    unpriced: int = 0
    """Runs on nodes and engines without a price: the true cost is unknown by these."""


class By(StrEnum):
    """What costs are summed by."""

    TASK = "task"
    KEY = "key"
    NODE = "node"
    MONTH = "month"


class CostRow(Model):
    """One sum. Amounts are in units of the currency."""

    name: str
    """A task's or key's id, a node's or engine's name, or a month (``2026-11``)."""
    label: str = ""
    """A key's name; ``node`` or ``engine``."""
    caused: Decimal
    """Money that would not be owed without this work."""
    share: Decimal
    """The work's share of monthly prices, which are owed anyway."""
    monthly: Decimal = Decimal(0)
    """Monthly prices, whether the nodes worked or not."""
    total: Decimal
    """What is owed: ``caused`` and ``monthly``; of a key or a task: ``caused`` and ``share``."""
    runs: int = 0
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: int = 0


class BudgetState(StrEnum):
    """How far a budget is used up."""

    OPEN = "open"
    WARNING = "warning"
    NO_LOW = "no-low"
    """New work of low priority is refused."""
    NO_NORMAL = "no-normal"
    """Only new work of high priority is taken."""
    SPENT = "spent"
    """No new work is taken."""


class BudgetView(Model):
    """A budget and what is used of it this month."""

    budget: str
    """``mesh``, or the id of a key."""
    limit: Decimal
    spent: Decimal
    used: float
    """``spent / limit``."""
    state: BudgetState
    resets_at: datetime


class CostReport(Model):
    """Sums of one month, or of several."""

    by: By
    month: str
    """The month of the sums; by month: the last one shown."""
    currency: str
    rows: tuple[CostRow, ...]
    total: Decimal
    """What is owed for the month, or what the caller's key has used of it."""
    budgets: tuple[BudgetView, ...] = ()
    next: str | None = None
    """By task: pass it as ``before`` for the page that follows; absent on the last page."""
