"""What callers do to a running or finished task: cancel, reply, replay."""

from concilium.contracts import limits
from concilium.contracts.errors import IllegalTransition, Invalid
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import DataClass, Problem, Request, Submission, TaskView
from concilium.ledger.codec import at
from concilium.ledger.draft import Draft, load
from concilium.ledger.leases import OUTCOME_UNKNOWN
from concilium.ledger.models import Submitted
from concilium.ledger.notes import ring_of
from concilium.ledger.rows import PRIORITIES, StepRow, view_of
from concilium.ledger.submit import submit
from concilium.ledger.turns import advance
from concilium.ledger.tx import Tx

_RETRY = ("retry", "повтор")
_SKIP = ("skip", "пропус")


def cancel(tx: Tx, task_id: str, reason: str) -> TaskView:
    """End a task and its open attempts; their fences rise, so that a later completion is refused.

    Raises:
        IllegalTransition: the task is over already.
    """
    draft = load(tx, task_id, lock_steps=True)
    draft.change(problem=Problem(type="canceled", detail=reason or "canceled by the caller").model_dump_json())
    draft.move(TaskState.CANCELED, reason)
    draft.save()
    return view_of(draft.row, draft.runs)


def expire(tx: Tx, task_id: str) -> bool:
    """Fail a task whose deadline has passed; False when it was settled or given more time meanwhile."""
    draft = load(tx, task_id, lock_steps=True)
    counting = not draft.state.terminal and draft.row.paused_at is None
    if not counting or draft.row.deadline_at > tx.now:
        return False
    detail = f"not finished by {at(draft.row.deadline_at).isoformat(timespec='seconds')}"
    draft.change(problem=Problem(type="deadline-exceeded", detail=detail, retryable=True).model_dump_json())
    draft.move(TaskState.FAILED, detail)
    draft.save()
    return True


def reply(tx: Tx, task_id: str, text: str) -> Submitted:
    """Hand a caller's answer to a task that asked; steps that asked may be claimed again and see it.

    Raises:
        IllegalTransition: the task does not wait for an answer.
        Invalid: the question was whether to retry or to skip, and the answer says neither.
    """
    draft = load(tx, task_id, lock_steps=True)
    if draft.state is not TaskState.INPUT_REQUIRED:
        raise IllegalTransition(f"task {task_id} is {draft.state} and asks nothing")
    request = Request.model_validate_json(draft.row.request)
    request = request.model_copy(update={"replies": (*request.replies, text)})
    draft.change(request=request.model_dump_json())
    draft.move(TaskState.WORKING)
    for run in draft.runs:
        if run.state == StepState.INPUT_REQUIRED:
            _answer_step(draft, run, text)
    waiting = [run for run in draft.runs if run.state == StepState.READY]
    advance(draft)
    draft.save()
    rings = {ring_of(run): None for run in waiting if run.open} | dict.fromkeys(draft.rings)
    return Submitted(task=view_of(draft.row, draft.runs), rings=tuple(rings))


def _answer_step(draft: Draft, run: StepRow, text: str) -> None:
    now = draft.tx.now
    if run.problem and Problem.model_validate_json(run.problem).type == OUTCOME_UNKNOWN:
        said = text.strip().lower()
        if said.startswith(_SKIP):
            problem = Problem(type="skipped", detail="skipped by the caller; its outcome stays unknown")
            draft.move_run(run, StepState.FAILED, problem)
            return
        if not said.startswith(_RETRY):
            raise Invalid("answer 'retry' (повторить) or 'skip' (пропустить)")
    draft.move_run(
        run, StepState.READY, grants=0, not_before=now,
        ring_at=now + limits.RING_BASE_S, ring_delay_s=limits.RING_BASE_S,
    )  # fmt: skip


def replay(tx: Tx, task_id: str, key_id: str, traceparent: str | None = None) -> Submitted:
    """Submit a task's request once more as a new task, under the same terms and a new deadline."""
    row = load(tx, task_id).row
    return submit(
        tx,
        Submission(
            request=Request.model_validate_json(row.request),
            key_id=key_id,
            operation=row.operation,
            deadline_s=row.deadline_s,
            priority=PRIORITIES[row.priority],
            data_class=DataClass(row.data_class),
            hops=row.hops,
            callback_url=row.callback_url,
            context_id=row.context_id,
            traceparent=traceparent,
            replay_of=task_id,
        ),
    )
