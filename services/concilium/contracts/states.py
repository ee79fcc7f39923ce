"""States of tasks and steps and the only table of legal transitions."""

from enum import StrEnum

from concilium.contracts.errors import IllegalTransition


class TaskState(StrEnum):
    """A task's state: the short words for A2A 1.0's ``TASK_STATE_*`` (section 4.1.3)."""

    SUBMITTED = "submitted"
    WORKING = "working"
    INPUT_REQUIRED = "input-required"
    AUTH_REQUIRED = "auth-required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        """Whether no transition leads out of this state."""
        return not TASK_TRANSITIONS[self]


class StepState(StrEnum):
    """The state of one attempt of one step."""

    READY = "ready"
    """May be claimed once its ``not_before`` has passed."""
    WORKING = "working"
    """Leased to a runner."""
    INPUT_REQUIRED = "input-required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        """Whether no transition leads out of this state."""
        return not STEP_TRANSITIONS[self]


_T = TaskState
TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    _T.SUBMITTED: frozenset(
        {_T.WORKING, _T.INPUT_REQUIRED, _T.AUTH_REQUIRED, _T.COMPLETED, _T.FAILED, _T.CANCELED, _T.REJECTED}
    ),
    _T.WORKING: frozenset({_T.INPUT_REQUIRED, _T.AUTH_REQUIRED, _T.COMPLETED, _T.FAILED, _T.CANCELED, _T.REJECTED}),
    _T.INPUT_REQUIRED: frozenset({_T.WORKING, _T.COMPLETED, _T.FAILED, _T.CANCELED, _T.REJECTED}),
    _T.AUTH_REQUIRED: frozenset({_T.WORKING, _T.FAILED, _T.CANCELED, _T.REJECTED}),
    _T.COMPLETED: frozenset(),
    _T.FAILED: frozenset(),
    _T.CANCELED: frozenset(),
    _T.REJECTED: frozenset(),
}

_S = StepState
STEP_TRANSITIONS: dict[StepState, frozenset[StepState]] = {
    _S.READY: frozenset({_S.WORKING, _S.FAILED, _S.CANCELED}),
    _S.WORKING: frozenset({_S.READY, _S.INPUT_REQUIRED, _S.COMPLETED, _S.FAILED, _S.CANCELED}),
    _S.INPUT_REQUIRED: frozenset({_S.READY, _S.FAILED, _S.CANCELED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
}


def check_task(old: TaskState, new: TaskState) -> None:
    """Raise `IllegalTransition` unless a task may go from ``old`` to ``new``."""
    if new not in TASK_TRANSITIONS[old]:
        raise IllegalTransition(f"a task cannot go from {old} to {new}")


def check_step(old: StepState, new: StepState) -> None:
    """Raise `IllegalTransition` unless a step's attempt may go from ``old`` to ``new``."""
    if new not in STEP_TRANSITIONS[old]:
        raise IllegalTransition(f"a step cannot go from {old} to {new}")
