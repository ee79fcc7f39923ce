"""Leases under way: renewal, progress, and what happens to those that were lost."""

from sqlalchemy import text, tuple_

from concilium.contracts import limits
from concilium.contracts.errors import NotFound
from concilium.contracts.runner import ProgressNote, RenewReply, RenewRequest
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState
from concilium.contracts.task import Problem, ProgressEvent
from concilium.ledger import schema
from concilium.ledger.draft import Draft, load
from concilium.ledger.rows import StepRow
from concilium.ledger.turns import advance, ask
from concilium.ledger.tx import Tx

_s = schema.steps.c
WORKING = text("steps.state = 'working'")
_HELD = tuple_(_s.task_id, _s.step, _s.attempt, _s.fence)
CLOCK_SLACK_S = 5.0
OUTCOME_UNKNOWN = "outcome-unknown"


def renew(tx: Tx, request: RenewRequest) -> RenewReply:
    """Prolong all leases of a runner in one statement; answer those it no longer holds."""
    if not request.leases:
        return RenewReply()
    wanted = [(held.task_id, held.step, held.attempt, held.fence) for held in request.leases]
    prolong = (
        schema.steps.update()
        .where(WORKING, _s.runner == request.runner, _HELD.in_(wanted))
        .values(lease_until=tx.now + tx.rules.lease_ttl_s)
        .returning(_s.task_id, _s.step, _s.attempt, _s.fence)
    )
    kept = {tuple(row) for row in tx.conn.execute(prolong)}
    return RenewReply(lost=tuple(held for held, key in zip(request.leases, wanted, strict=True) if key not in kept))


def progress(tx: Tx, notes: tuple[ProgressNote, ...]) -> None:
    """Store notes as events; those under a lease that is not current are ignored."""
    by_task: dict[str, list[ProgressNote]] = {}
    for note in notes:
        by_task.setdefault(note.held.task_id, []).append(note)
    for task_id in sorted(by_task):
        try:
            draft = load(tx, task_id)
        except NotFound:
            continue
        noted = [_note(draft, note) for note in by_task[task_id]]
        if any(noted):
            draft.save()


def _note(draft: Draft, note: ProgressNote) -> bool:
    held = note.held
    for run in draft.runs:
        same = (run.step, run.attempt, run.fence) == (held.step, held.attempt, held.fence)
        if same and run.state == StepState.WORKING:
            draft.event(ProgressEvent(step=run.step, attempt=run.attempt, fraction=note.fraction, message=note.message))
            return True
    return False


def take_back(tx: Tx, task_id: str, step: str, attempt: int) -> bool:
    """End a lease that ran out, or an attempt that is far past its deadline; False when it was settled meanwhile.

    An external attempt's outcome is unknown: the caller is asked. Any other is ready again after a pause, until it
    was granted `limits.GRANTS_MAX` times.
    """
    try:
        draft = load(tx, task_id, lock_steps=True)
        run = draft.run(step, attempt)
    except NotFound:
        return False
    if run.state != StepState.WORKING:
        return False
    late = run.deadline_at is not None and run.deadline_at + tx.rules.lease_ttl_s < tx.now
    if not late and not _ran_out(run, tx):
        return False
    if run.effects == Effects.EXTERNAL:
        ask_outcome(draft, run)
    elif late:
        _fail(draft, run, "deadline-exceeded", f"no outcome within its {run.deadline_s:g} s")
    elif run.grants >= limits.GRANTS_MAX:
        _fail(draft, run, "lease-lost", f"its runner was lost {run.grants} times")
    else:
        _ready_again(draft, run)
    advance(draft)
    draft.save()
    return True


def _ran_out(run: StepRow, tx: Tx) -> bool:
    """Whether a lease is over: its time passed, or lies further ahead than any grant (the clock was set back)."""
    until = run.lease_until if run.lease_until is not None else 0.0
    return until < tx.now or until > tx.now + tx.rules.lease_ttl_s + CLOCK_SLACK_S


def _fail(draft: Draft, run: StepRow, kind: str, detail: str) -> None:
    problem = Problem(type=kind, detail=detail, retryable=True)
    draft.move_run(run, StepState.FAILED, problem, fence=run.fence + 1)


def _ready_again(draft: Draft, run: StepRow) -> None:
    wait = min(limits.RETRY_BASE_S * 2 ** (run.grants - 1), limits.RETRY_MAX_S)
    start = draft.tx.now + wait
    draft.move_run(run, StepState.READY, not_before=start, ring_at=start, ring_delay_s=limits.RING_BASE_S)


def ask_outcome(draft: Draft, run: StepRow) -> None:
    """Ask the caller about an attempt with effects outside the mesh that was lost."""
    problem = Problem(type=OUTCOME_UNKNOWN, detail="the runner was lost while the step had effects outside the mesh")
    draft.move_run(run, StepState.INPUT_REQUIRED, problem, fence=run.fence + 1)
    ask(
        draft,
        f"Step '{run.step}' ({run.skill}) acts outside the mesh and its outcome is unknown: the runner was lost. "
        "Check, then answer 'retry' to run it again or 'skip' to go on without it. / "
        f"Исход шага «{run.step}» неизвестен: исполнитель потерян. Проверьте и ответьте «повторить» или «пропустить».",
    )
