"""What is told of an attempt: to readers of its task, to the queue, to whoever counts."""

from concilium.contracts.states import StepState
from concilium.contracts.task import Problem, StepEvent
from concilium.ledger.models import Ring
from concilium.ledger.rows import StepRow
from concilium.ledger.tx import StepMove


def step_event(run: StepRow, problem: Problem | None) -> StepEvent:
    """Return the event that says what an attempt has become."""
    return StepEvent(
        step=run.step,
        attempt=run.attempt,
        state=StepState(run.state),
        agent=run.agent,
        skill=run.skill,
        node=run.node,
        fence=run.fence,
        duration_s=run.duration_s,
        problem=problem,
    )


def ring_of(run: StepRow) -> Ring:
    """Return the doorbell of an attempt."""
    return Ring(agent=run.agent, step_id=f"{run.task_id}.{run.step}.{run.attempt}")


def step_move(run: StepRow, now: float, before: str = "", duration_s: float | None = None) -> StepMove:
    """Return what an attempt has come to at ``now``; ``before`` is the state it left, empty when it was made."""
    waited_s = max(0.0, now - run.not_before) if run.state == StepState.WORKING else 0.0
    return StepMove(run.agent, run.skill, run.state, run.attempt, before, waited_s, duration_s, run.node or "")
