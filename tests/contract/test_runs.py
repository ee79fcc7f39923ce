"""What every agent does with runs, whoever wrote it: the same tests for each, over HTTP."""

import asyncio
import time
from collections.abc import Callable

import pytest

from concilium.contracts.a2a.reader import Started
from concilium.contracts.states import TaskState
from concilium.runner.agent import AgentRefused
from concilium.workers.runtime.self_test import judge
from contract.caller import Caller, Run, until
from contract.subjects import Subject

CANCEL_S = 1.0
MEMORY_RUNS = 15
MEMORY_BYTES = 24 * 2**20
MEMORY_SHARE = 0.15
"""After so many runs and a settle, a service holds at most the larger of these more than when it was warm."""


def test_the_manifest_says_how_to_try_every_skill(subject: Subject) -> None:
    tried = {case.skill for case in subject.manifest.self_test}
    assert tried == {skill.name for skill in subject.manifest.skills}
    assert subject.quick
    assert subject.slow


async def test_every_case_of_the_self_test_ends_as_it_says(subject: Subject, caller: Caller) -> None:
    for case in subject.manifest.self_test:
        if not (case.slow or case.engine):
            assert judge(case, subject.manifest, await caller.run(case)) == "", case.title


async def test_a_run_tells_how_far_it_is(subject: Subject, caller: Caller) -> None:
    telling = [case for case in subject.manifest.self_test if case.progress and not case.engine]
    assert telling, "no case of the self-test tells progress"
    run = caller.follow(telling[0])
    await run.task
    assert run.told
    assert all(note.fraction is None or 0 <= note.fraction <= 1 for note in run.told)


async def test_the_tasks_id_is_the_run_id(subject: Subject, steps: Caller) -> None:
    lease = steps.lease(subject.quick)
    first = await anext(steps.stream(subject.quick, lease))
    assert isinstance(first, Started)
    assert first.run_id == lease.run_id


async def test_sending_twice_runs_once(subject: Subject, steps: Caller) -> None:
    lease = steps.lease(subject.quick)
    together = await asyncio.gather(steps.run(subject.quick, lease), steps.run(subject.quick, lease))
    later = await steps.run(subject.quick, lease.model_copy(update={"fence": 2}))
    # A second run would have taken another time, to the microsecond.
    assert together[0].duration_s is not None
    assert together[0] == together[1] == later


async def test_a_lower_fence_is_refused(subject: Subject, steps: Caller) -> None:
    lease = steps.lease(subject.quick, fence=5)
    await steps.run(subject.quick, lease)
    with pytest.raises(AgentRefused) as refused:
        await steps.run(subject.quick, lease.model_copy(update={"fence": 4}))
    assert (refused.value.status, refused.value.problem.type) == (409, "stale-fence")


async def test_a_deadline_ends_the_run(subject: Subject, steps: Caller) -> None:
    final = await steps.run(subject.slow, steps.lease(subject.slow, deadline_s=0.5))
    assert final.problem is not None
    assert (final.state, final.problem.type) == (TaskState.FAILED, "deadline-exceeded")
    assert final.duration_s is not None
    assert 0.4 <= final.duration_s < 0.5 + CANCEL_S
    assert (await steps.run(subject.quick)).state is TaskState.COMPLETED


async def test_a_cancel_ends_the_run_within_a_second_and_leaves_no_process(subject: Subject, caller: Caller) -> None:
    await caller.run(subject.quick)
    before = len(subject.children())
    run = caller.follow(subject.slow)
    await until(run.works)
    asked = time.monotonic()
    await caller.cancel(run)
    assert time.monotonic() - asked < CANCEL_S
    assert run.final is not None
    assert run.final.state is TaskState.CANCELED
    await until(lambda: len(subject.children()) <= before, 5)
    assert not await caller.client.cancel(caller.endpoint, run.run_id), "a run ends once"


async def test_no_more_runs_work_at_once_than_there_are_slots(subject: Subject, caller: Caller) -> None:
    slots = subject.manifest.slots
    runs = [caller.follow(subject.slow) for _ in range(slots + 2)]
    while left := [run for run in runs if run.final is None]:
        await _full(left, min(slots, len(left)))
        waiting = [run for run in left if not run.working]
        assert [await caller.state(run) for run in waiting] == [TaskState.SUBMITTED] * max(0, len(left) - slots)
        await caller.cancel(next(run for run in left if run.working))
    assert {run.final.state for run in runs if run.final} == {TaskState.CANCELED}


async def test_more_runs_than_slots_all_end(subject: Subject, caller: Caller) -> None:
    finals = await asyncio.gather(*(caller.run(subject.quick) for _ in range(subject.manifest.slots + 2)))
    assert [judge(subject.quick, subject.manifest, final) for final in finals] == [""] * len(finals)


async def test_memory_is_returned(
    subject: Subject, caller: Caller, record_property: Callable[[str, object], None]
) -> None:
    await _several(subject, caller, 3)
    warm = subject.rss()
    bound = warm + max(MEMORY_BYTES, int(MEMORY_SHARE * warm))
    await _several(subject, caller, MEMORY_RUNS)
    try:
        await until(lambda: subject.rss() <= bound, 10)
    finally:
        figures = f"{subject.manifest.name}: warm {warm >> 20} MiB, after {subject.rss() >> 20} MiB"
        record_property("memory", figures)
        print(figures)


async def _full(runs: list[Run], count: int) -> None:
    """Wait until every run is known to the agent and so many of them work."""
    await until(lambda: sum(run.works() for run in runs) >= count and all(run.run_id for run in runs))
    assert sum(run.working for run in runs) == count


async def _several(subject: Subject, caller: Caller, rounds: int) -> None:
    for _ in range(rounds):
        await asyncio.gather(*(caller.run(subject.quick) for _ in range(subject.manifest.slots)))
