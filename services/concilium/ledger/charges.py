"""What running and thinking cost: added to attempt, task and month in the transaction that ends it."""

from typing import TYPE_CHECKING

from concilium.contracts.prices import EngineUse, Spent
from concilium.ledger.codec import at
from concilium.ledger.nodes import price_of
from concilium.ledger.rows import StepRow
from concilium.ledger.tx import Charge

_NOTHING = Spent(0)

if TYPE_CHECKING:
    from concilium.ledger.draft import Draft


def charge_run(draft: "Draft", run: StepRow, reported_s: float | None) -> None:
    """Charge an attempt that ends for its time on its node.

    Args:
        draft: its task.
        run: the attempt, still working.
        reported_s: the seconds it took as its runner says, at most those since the attempt was made; None when nobody
            says (canceled, lost, too late): then those since it was last granted.
    """
    now = draft.tx.now
    since = run.granted_at if reported_s is None and run.granted_at is not None else run.created_at
    elapsed_s = max(0.0, now - since)
    seconds = elapsed_s if reported_s is None else min(reported_s, elapsed_s)
    node = run.node or ""
    prices = draft.tx.rules.prices
    invited = None if node in prices.nodes else price_of(draft.tx.conn, node)
    spent = prices.run(node, seconds, at(now), invited)
    if spent is not None:
        draft.change_run(run, cost=(run.cost or 0) + spent.total)
    charge = Charge(
        key_id=draft.row.key_id,
        task_id=draft.row.id,
        kind="node",
        name=node,
        spent=spent or _NOTHING,
        runs=1,
        ms=round(seconds * 1000),
        unpriced=int(spent is None),
        agent=run.agent,
    )
    _add(draft, charge, free=spent == _NOTHING)


def charge_engines(draft: "Draft", used: tuple[EngineUse, ...], run: StepRow | None = None) -> None:
    """Charge a task, and the attempt that asked, for what was asked of engines."""
    for use in used:
        spent = draft.tx.rules.prices.engine(use)
        if spent is not None and run is not None:
            draft.change_run(run, cost=(run.cost or 0) + spent.total)
        charge = Charge(
            key_id=draft.row.key_id,
            task_id=draft.row.id,
            kind="engine",
            name=use.engine,
            spent=spent or _NOTHING,
            input_tokens=use.input_tokens,
            output_tokens=use.output_tokens,
            unpriced=1 if spent is None else use.uncounted,
            agent=run.agent if run is not None else "",
        )
        _add(draft, charge, free=False)


def _add(draft: "Draft", charge: Charge, *, free: bool) -> None:
    row = draft.row
    draft.change(
        cost=(row.cost or 0) + charge.spent.total,
        currency=draft.tx.rules.prices.currency,
        unpriced=row.unpriced + charge.unpriced,
    )
    if not free:
        # A node stated to cost nothing leaves no sums, so that a mesh without prices pays nothing for this.
        draft.tx.charges.append(charge)
