"""Whatever callers, runners and the reconciler do in whatever order: histories stay legal, gapless and fenced."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concilium.contracts.errors import ConciliumError, IllegalTransition
from concilium.contracts.runner import Lease
from concilium.contracts.states import (
    STEP_TRANSITIONS,
    TASK_TRANSITIONS,
    StepState,
    TaskState,
    check_step,
    check_task,
)
from concilium.ledger import History
from support.ledgers import Hands, hands

TEXTS = ("a", "a b>a", "ask a", "bad a", "ext", "think a b", "a b c>a,b")
ACTIONS = ("claim", "completed", "failed", "retryable", "input-required", "cancel", "reply", "skip", "think", "sweep")
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 7)), max_size=40)


@pytest.mark.parametrize("old", list(TaskState))
@pytest.mark.parametrize("new", list(TaskState))
def test_a_task_moves_only_along_the_table(old: TaskState, new: TaskState) -> None:
    if new in TASK_TRANSITIONS[old]:
        check_task(old, new)
    else:
        with pytest.raises(IllegalTransition):
            check_task(old, new)


@pytest.mark.parametrize("old", list(StepState))
@pytest.mark.parametrize("new", list(StepState))
def test_a_step_moves_only_along_the_table(old: StepState, new: StepState) -> None:
    if new in STEP_TRANSITIONS[old]:
        check_step(old, new)
    else:
        with pytest.raises(IllegalTransition):
            check_step(old, new)


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3), STEPS)
@settings(max_examples=60)
def test_no_order_of_operations_makes_an_illegal_history(texts: list[str], actions: list[tuple[str, int]]) -> None:
    asyncio.run(_play(texts, actions))


async def _play(texts: list[str], actions: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        async with hands(f"sqlite:///{root / 'ledger.sqlite3'}", root / "blobs", lease_ttl_s=0.001) as mesh:
            tasks = [(await mesh.submit(text)).task.id for text in texts]
            leases: list[Lease] = []
            for action, number in actions:
                try:
                    await _act(mesh, action, number, tasks, leases)
                except ConciliumError:
                    continue  # a refusal is a legal outcome of any order
            for task in tasks:
                check_history(await mesh.ledger.history(task))


async def _act(mesh: Hands, action: str, number: int, tasks: list[str], leases: list[Lease]) -> None:
    task = tasks[number % len(tasks)]
    if action == "claim":
        leases.extend(await mesh.claim(count=2))
    elif action == "sweep":
        await mesh.ledger.sweep()
    elif action == "cancel":
        await mesh.ledger.cancel(task)
    elif action in {"reply", "skip"}:
        await mesh.ledger.reply(task, "retry" if action == "reply" else "skip")
    elif action == "think":
        for thought in await mesh.ledger.claim_thoughts("b", 1):
            await mesh.ledger.commit_thought(thought.task_id, thought.fence, thought.name, number)
    elif leases:
        await _settle(mesh, action, leases[number % len(leases)])


async def _settle(mesh: Hands, action: str, lease: Lease) -> None:
    more: dict[str, Any] = {}
    if action in {"failed", "retryable"}:
        more["problem"] = {"type": "boom", "detail": "no", "retryable": action == "retryable"}
    await mesh.complete(lease, "failed" if action == "retryable" else action, **more)


def check_history(history: History) -> None:
    """Read a task's events in order and hold each against the tables of states."""
    assert [event.seq for event in history.events] == list(range(1, history.task.last_seq + 1))
    task: TaskState | None = None
    steps: dict[tuple[str, int], StepState] = {}
    fences: dict[str, int] = {}
    for event in history.events:
        body = event.body
        assert task is None or not task.terminal, "nothing follows a terminal state"
        if body.kind == "state":
            assert task is None or body.state in TASK_TRANSITIONS[task]
            task = body.state
        elif body.kind == "step":
            key = body.step, body.attempt
            assert key not in steps or body.state in STEP_TRANSITIONS[steps[key]]
            steps[key] = body.state
            rises = body.state is StepState.WORKING
            assert body.fence >= fences.get(body.step, 0) + rises, "each grant has a higher fence"
            fences[body.step] = body.fence
    assert task == history.task.state
    assert steps == {(run.step, run.attempt): run.state for run in history.steps}
