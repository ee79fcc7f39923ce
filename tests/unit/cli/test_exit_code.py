"""What a command exits with, by how its task ended."""

from datetime import UTC, datetime

import pytest

from concilium.cli.watch import exit_code
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Answer, DataClass, Priority, Provenance, Request, TaskView

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def task(state: TaskState, *steps: tuple[str, int, StepState]) -> TaskView:
    provenance = tuple(
        Provenance(step=name, agent="code", skill="code.run", attempt=attempt, state=ended)
        for name, attempt, ended in steps
    )
    return TaskView(
        id="task_1",
        context_id="ctx_1",
        state=state,
        request=Request(text="x"),
        priority=Priority.NORMAL,
        data_class=DataClass.INTERNAL,
        created_at=NOW,
        updated_at=NOW,
        deadline_at=NOW,
        trace_id="0" * 32,
        key_id="key_1",
        answer=Answer(text="", planner="skill-router", provenance=provenance) if steps else None,
    )


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (task(TaskState.COMPLETED, ("a", 1, StepState.COMPLETED)), 0),
        (task(TaskState.COMPLETED, ("a", 1, StepState.FAILED), ("a", 2, StepState.COMPLETED)), 0),
        (task(TaskState.COMPLETED, ("a", 1, StepState.COMPLETED), ("b", 1, StepState.FAILED)), 4),
        (task(TaskState.FAILED, ("a", 1, StepState.FAILED)), 1),
        (task(TaskState.CANCELED), 1),
        (task(TaskState.INPUT_REQUIRED), 3),
    ],
)
def test_the_exit_code_tells_a_whole_success_from_a_partial_one(ended: TaskView, code: int) -> None:
    assert exit_code(ended) == code
