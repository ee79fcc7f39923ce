"""Commit 3: the outcome of an attempt, accepted only under the current fence, and what follows from it."""

from typing import Any

from sqlalchemy import bindparam, select

from concilium.contracts.errors import NotFound, StaleLease
from concilium.contracts.runner import Completion, Held
from concilium.contracts.states import StepState
from concilium.contracts.task import ArtifactEvent, Problem
from concilium.ledger import nodes, schema
from concilium.ledger.claim import claim
from concilium.ledger.codec import dumps
from concilium.ledger.draft import Draft, load
from concilium.ledger.files import files_of
from concilium.ledger.models import Completed
from concilium.ledger.rows import ARTIFACTS, StepRow
from concilium.ledger.turns import advance, ask
from concilium.ledger.tx import Tx

_s = schema.steps.c
_LOCK_ONE = (
    select(_s.fence)
    .where(_s.task_id == bindparam("task_id"), _s.step == bindparam("step"), _s.attempt == bindparam("attempt"))
    .with_for_update()
)


def complete(tx: Tx, completion: Completion) -> Completed:
    """Commit an outcome, fold the turn on, and claim the runner's next step when it asks for one.

    Raises:
        StaleLease: the lease was taken back, granted to another, canceled, or its outcome is committed already.
    """
    held = completion.held
    draft, run = _held(tx, held)
    tokens: dict[str, Any] = {"fence": held.fence, "node": completion.node, "duration_s": completion.duration_s}
    if completion.state == "completed":
        _succeed(draft, run, completion, tokens)
    elif completion.state == "failed":
        problem = completion.problem or Problem(type="failed", detail="the agent gave no reason")
        draft.move_run(run, StepState.FAILED, problem, **tokens)
    else:
        draft.move_run(run, StepState.INPUT_REQUIRED, **tokens)
        ask(draft, completion.question or f"Step '{run.step}' needs more input.")
    draft.charge_engines(completion.used, run)
    advance(draft)
    draft.save()
    leases = claim(tx, completion.claim) if completion.claim is not None else ()
    return Completed(task_id=held.task_id, finished=draft.state.terminal, rings=tuple(draft.rings), leases=leases)


def _held(tx: Tx, held: Held) -> tuple[Draft, StepRow]:
    """Return the task and the attempt when the lease is current. Raises `StaleLease`."""
    key = {"task_id": held.task_id, "step": held.step, "attempt": held.attempt}
    if tx.shared:
        tx.conn.execute(_LOCK_ONE, key).first()
    try:
        draft = load(tx, held.task_id)
        run = draft.run(held.step, held.attempt)
    except NotFound as error:
        raise StaleLease(f"{error.detail}; drop the work") from error
    if tx.rules.check_fence and run.fence != held.fence:
        raise StaleLease(f"fence {held.fence} is not current ({run.fence}); drop the work", fence=run.fence)
    if nodes.is_revoked(tx, run.node):
        raise StaleLease(f"node '{run.node}' was revoked; drop the work", fence=run.fence)
    if run.state != StepState.WORKING:
        raise StaleLease(f"the step is {run.state}, not working; drop the work", fence=run.fence)
    return draft, run


def _succeed(draft: Draft, run: StepRow, completion: Completion, tokens: dict[str, Any]) -> None:
    draft.move_run(
        run,
        StepState.COMPLETED,
        output=dumps(completion.output),
        artifacts=ARTIFACTS.dump_json(completion.artifacts).decode() if completion.artifacts else None,
        **tokens,
    )
    for artifact in completion.artifacts:
        draft.event(ArtifactEvent(step=run.step, artifact=artifact))
    draft.refer(*(file.sha256 for file in files_of(completion.artifacts)))
