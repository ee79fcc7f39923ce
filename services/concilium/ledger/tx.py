"""What every operation gets: a connection inside a write transaction, the clock's reading, the rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from sqlalchemy import Connection, Insert, Select, Table, Update, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from concilium.contracts import limits
from concilium.contracts.config import BudgetConfig
from concilium.contracts.prices import Prices, Spent
from concilium.contracts.turn import Advance, Turn

AdvanceFn = Callable[[Turn], Advance]


@dataclass(frozen=True)
class Rules:
    """What the operations judge by."""

    advance: AdvanceFn
    """The brain's pure fold."""
    lease_ttl_s: float = limits.LEASE_TTL_S
    check_fence: bool = True
    """False exists only so that the chaos checker can prove that it would notice a commit under a stale fence."""
    prices: Prices = field(default_factory=Prices)
    budgets: BudgetConfig = field(default_factory=BudgetConfig)


@dataclass(frozen=True)
class Charge:
    """What one run or one engine adds to the month's sums."""

    key_id: str
    task_id: str
    kind: Literal["node", "engine"]
    name: str
    spent: Spent
    priced: bool
    """Whether a price is known; what has none is counted as unpriced."""
    free: bool = False
    """Leaves no sums behind."""
    runs: int = 0
    ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: int = 0
    agent: str = ""
    """Whose run it was; empty: the brain's own thought."""


@dataclass(frozen=True, slots=True)
class TaskMove:
    """A task came to another state."""

    state: str
    age_s: float
    """Seconds since it was submitted."""


@dataclass(frozen=True, slots=True)
class StepMove:
    """An attempt was made, or came to another state."""

    agent: str
    skill: str
    state: str
    attempt: int
    before: str = ""
    """The state it left; empty: it was made."""
    waited_s: float = 0.0
    """When it was leased: seconds since it could be."""
    duration_s: float | None = None
    """When its run ended: the seconds that took, as its runner says."""
    node: str = ""
    """Where it runs, or ran; empty before its first lease."""


Move = TaskMove | StepMove | Charge
"""What a transaction changed, for whoever counts."""


@dataclass
class Tx:
    """One operation's share of a write transaction."""

    conn: Connection
    now: float
    """The ledger's clock, seconds since the epoch."""
    rules: Rules
    touched: dict[str, int] = field(default_factory=dict)
    """Task to its newest sequence number: who to wake after the commit."""
    charges: list[Charge] = field(default_factory=list)
    """Added to the month's sums as the transaction's last statement, see `spending.record`."""
    moves: list[Move] = field(default_factory=list)
    """Told after the commit to whoever counts."""

    @property
    def shared(self) -> bool:
        """Whether other writers exist, so that rows have to be locked before they are judged (PostgreSQL)."""
        return self.conn.dialect.name == "postgresql"

    def locked(self, query: "Select[*tuple[object, ...]]") -> "Select[*tuple[object, ...]]":
        """Return the query taking row locks where there are other writers."""
        return query.with_for_update() if self.shared else query


@cache
def update_of(table: Table, columns: tuple[str, ...]) -> Update:
    """Return an update of these columns of one row, made once; its key travels as ``pk_<column>``."""
    same = (column == bindparam(f"pk_{column.name}") for column in table.primary_key)
    return table.update().where(*same).values({name: bindparam(name) for name in columns})


def insert_new(table: Table) -> dict[str, Insert]:
    """Return, by dialect, an insert that leaves existing rows as they are; ``rowcount`` says whether it did."""
    counted = {"preserve_rowcount": True}
    return {
        "sqlite": sqlite.insert(table).on_conflict_do_nothing().execution_options(**counted),
        "postgresql": postgresql.insert(table).on_conflict_do_nothing().execution_options(**counted),
    }
