"""What running and thinking cost: what an attempt or an engine adds to attempt, task and month when it ends."""

from concilium.contracts.prices import EngineUse, Spent
from concilium.ledger.codec import at
from concilium.ledger.nodes import price_of
from concilium.ledger.rows import StepRow, TaskRow
from concilium.ledger.tx import Charge, Tx

_NOTHING = Spent(0)


def run_charge(tx: Tx, row: TaskRow, run: StepRow, reported_s: float | None) -> Charge:
    """Return what an attempt that ends costs for its time on its node.

    Args:
        tx: the transaction that ends it.
        row: its task.
        run: the attempt, still working.
        reported_s: the seconds it took as its runner says, at most those since it was granted, or since it was made if
            an earlier holder began it; None when nobody says (canceled, lost, too late): then those since it was last
            granted.
    """
    last = run.granted_at is not None and (reported_s is None or run.grants == 1)
    since = run.granted_at if last and run.granted_at is not None else run.created_at
    elapsed_s = max(0.0, tx.now - since)
    seconds = elapsed_s if reported_s is None else min(reported_s, elapsed_s)
    node = run.node or ""
    prices = tx.rules.prices
    invited = None if node in prices.nodes else price_of(tx.conn, node)
    spent = prices.run(node, seconds, at(tx.now), invited)
    return Charge(
        key_id=row.key_id,
        task_id=row.id,
        kind="node",
        name=node,
        spent=spent or _NOTHING,
        priced=spent is not None,
        # A node stated to cost nothing leaves no sums, so that a mesh without prices pays nothing for this.
        free=spent == _NOTHING,
        runs=1,
        ms=round(seconds * 1000),
        unpriced=int(spent is None),
        agent=run.agent,
    )


def engine_charge(tx: Tx, row: TaskRow, use: EngineUse, agent: str) -> Charge:
    """Return what was asked of one engine costs; ``agent`` asked, empty: the brain."""
    spent = tx.rules.prices.engine(use)
    return Charge(
        key_id=row.key_id,
        task_id=row.id,
        kind="engine",
        name=use.engine,
        spent=spent or _NOTHING,
        priced=spent is not None,
        input_tokens=use.input_tokens,
        output_tokens=use.output_tokens,
        unpriced=1 if spent is None else use.uncounted,
        agent=agent,
    )
