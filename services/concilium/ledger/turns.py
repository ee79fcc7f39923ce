"""Run the brain's fold on a task and apply what it decides, in the transaction that changed the task."""

from concilium.contracts import limits
from concilium.contracts.errors import ConciliumError
from concilium.contracts.states import TaskState
from concilium.contracts.turn import Advance, Finish, Turn
from concilium.ledger.codec import dumps, loads
from concilium.ledger.draft import Draft
from concilium.ledger.rows import turn_of

_FOLDS_MAX = limits.PLAN_STEPS * limits.ATTEMPTS_MAX + 1


def advance(draft: Draft) -> None:
    """Fold until the decision refuses nothing any more.

    A task that waits for its caller is left alone; a reply folds it again.

    Raises:
        ConciliumError: the fold refuses without end.
    """
    for _ in range(_FOLDS_MAX):
        if draft.state.terminal or draft.state in {TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED}:
            return
        turn = turn_of(draft.row, draft.runs, draft.thoughts(), draft.tx.now)
        decision = _decide(draft, turn)
        _apply(draft, decision)
        if not decision.refuse:
            return
    raise ConciliumError(f"task {draft.row.id}: the fold refused {_FOLDS_MAX} times without an end")


def _decide(draft: Draft, turn: Turn) -> Advance:
    try:
        return draft.tx.rules.advance(turn)
    except Exception as error:
        raise ConciliumError(f"task {draft.row.id}: the fold failed: {error!r}") from error


def _apply(draft: Draft, decision: Advance) -> None:
    if decision.plan is not None:
        draft.change(plan=decision.plan.model_dump_json())
    if decision.planner is not None:
        draft.change(planner=decision.planner)
    if decision.notes:
        known = loads(draft.row.notes)
        draft.change(notes=dumps([*known, *(note for note in decision.notes if note not in known)]))
    for stage in decision.stages:
        draft.event(stage)
    for refusal in decision.refuse:
        draft.refuse(refusal)
    for order in decision.dispatch:
        draft.dispatch(order)
    if decision.think not in {None, draft.row.think}:
        # A thought already asked for keeps its lease: other steps move the turn on while the engine thinks.
        draft.change(think=decision.think, think_holder=None, think_until=draft.tx.now)
    if decision.finish is not None:
        _finish(draft, decision.finish)
    elif decision.ask is not None:
        ask(draft, decision.ask)


def ask(draft: Draft, question: str) -> None:
    """Put a question to the caller; a task that already waits gets one more line."""
    if draft.state is TaskState.INPUT_REQUIRED:
        draft.change(question=dumps("\n".join((loads(draft.row.question or '""'), question)).strip()))
        return
    draft.change(question=dumps(question))
    draft.move(TaskState.INPUT_REQUIRED, question)


def _finish(draft: Draft, finish: Finish) -> None:
    if finish.answer is not None:
        draft.change(answer=finish.answer.model_dump_json())
    if finish.problem is not None:
        draft.change(problem=finish.problem.model_dump_json())
    message = finish.problem.detail if finish.problem else ""
    draft.move(TaskState(finish.state), message)
