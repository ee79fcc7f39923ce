"""What becomes of the steps of a node that was revoked."""

from sqlalchemy import Connection, select

from concilium.contracts import limits
from concilium.contracts.errors import NotFound
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState
from concilium.ledger import schema
from concilium.ledger.draft import load
from concilium.ledger.leases import WORKING, ask_outcome
from concilium.ledger.models import Ring
from concilium.ledger.notes import ring_of
from concilium.ledger.turns import advance
from concilium.ledger.tx import Tx

_s = schema.steps.c


def held_by(conn: Connection, name: str) -> list[tuple[str, str, int]]:
    """Return the attempts that are under way on a node, as task, step, attempt."""
    held = select(_s.task_id, _s.step, _s.attempt).where(WORKING, _s.node == name).order_by(_s.task_id)
    return [(row.task_id, row.step, row.attempt) for row in conn.execute(held)]


def take_away(tx: Tx, name: str, task_id: str, step: str, attempt: int) -> tuple[Ring, ...]:
    """Take an attempt from a node for another to run, at once; return whom to tell.

    An external attempt's outcome is unknown: the caller is asked.
    """
    try:
        draft = load(tx, task_id, lock_steps=True)
        run = draft.run(step, attempt)
    except NotFound:
        return ()
    if run.state != StepState.WORKING or run.node != name:
        return ()
    if run.effects == Effects.EXTERNAL:
        ask_outcome(draft, run)
        advance(draft)
    else:
        draft.move_run(run, StepState.READY, not_before=tx.now, ring_at=tx.now + limits.RING_BASE_S)
        draft.change_run(run, ring_delay_s=limits.RING_BASE_S)
        draft.rings.append(ring_of(run))
    draft.save()
    return tuple(draft.rings)
