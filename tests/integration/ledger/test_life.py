"""The whole life of a task."""

import asyncio

import pytest

from concilium.contracts.errors import IdempotencyConflict, IllegalTransition, Invalid, NotFound, StaleLease
from concilium.contracts.runner import ClaimRequest, Held, ProgressNote, ProgressRequest, RenewRequest
from concilium.contracts.states import TaskState
from concilium.contracts.task import Priority
from support.ledgers import Hands, held, outcome


async def test_a_one_step_task_costs_three_commits(mesh: Hands) -> None:
    before = (await mesh.ledger.stats()).commits
    submitted = await mesh.submit("a")
    lease = await mesh.one()
    done = await mesh.complete(lease)
    assert done.finished
    assert (await mesh.ledger.stats()).commits - before == 3
    assert submitted.rings[0].step_id == lease.run_id
    task = await mesh.ledger.get(submitted.task.id)
    assert task.state is TaskState.COMPLETED
    assert task.answer is not None
    assert task.answer.outputs == {"a": {"said": "a"}}


async def test_the_claim_of_the_next_step_rides_in_the_completion(mesh: Hands) -> None:
    await mesh.submit("a b>a c>b")
    lease = await mesh.one()
    before = (await mesh.ledger.stats()).commits
    wish = ClaimRequest(agent="echo", node="n1", runner="r1")
    seen = []
    while True:
        seen.append(lease.step)
        done = await mesh.complete(lease, claim=wish.model_dump())
        if done.finished:
            break
        (lease,) = done.leases
    assert seen == ["a", "b", "c"]
    assert (await mesh.ledger.stats()).commits - before == 3
    assert not done.leases


async def test_a_three_step_plan_runs_its_independent_steps_side_by_side(mesh: Hands) -> None:
    submitted = await mesh.submit("a b c>a,b")
    first, second = await mesh.claim(count=5)
    assert {first.step, second.step} == {"a", "b"}
    assert not (await mesh.complete(first)).rings
    assert [ring.step_id for ring in (await mesh.complete(second)).rings] == [f"{submitted.task.id}.c.1"]
    await mesh.complete(await mesh.one())
    history = await mesh.ledger.history(submitted.task.id)
    assert history.task.state is TaskState.COMPLETED
    assert [event.seq for event in history.events] == list(range(1, len(history.events) + 1))
    assert history.task.last_seq == len(history.events)
    kinds = [event.body.kind for event in history.events]
    assert kinds[:2] == ["state", "stage"]
    assert history.events[-1].body.model_dump()["state"] == "completed"


async def test_a_refused_step_is_recorded_and_the_rest_goes_on(mesh: Hands) -> None:
    submitted = await mesh.submit("bad a")
    await mesh.complete(await mesh.one())
    runs = {run.step: run for run in await mesh.ledger.steps(submitted.task.id)}
    assert runs["bad"].state == "failed"
    assert runs["bad"].problem is not None
    assert await mesh.state(submitted.task.id) == "completed"


async def test_a_retryable_failure_makes_a_new_attempt_with_a_higher_fence(mesh: Hands) -> None:
    submitted = await mesh.submit("a")
    fences = []
    for _ in range(3):
        lease = await mesh.one()
        fences.append(lease.fence)
        await mesh.complete(lease, "failed", problem={"type": "boom", "detail": "again", "retryable": True})
    assert fences == [1, 2, 3]
    assert [run.attempt for run in await mesh.ledger.steps(submitted.task.id)] == [1, 2, 3]
    task = await mesh.ledger.get(submitted.task.id)
    assert task.state is TaskState.FAILED
    assert task.problem is not None


async def test_the_same_key_gives_the_same_task_and_a_changed_request_a_conflict(mesh: Hands) -> None:
    first = await mesh.submit("a", idempotency_key="once")
    again = await mesh.submit("a", idempotency_key="once", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert (again.task.id, again.replayed, again.rings) == (first.task.id, True, ())
    with pytest.raises(IdempotencyConflict):
        await mesh.submit("b", idempotency_key="once")
    other_key = await mesh.submit("b", idempotency_key="once", key_id="key_2")
    other_operation = await mesh.submit("b", idempotency_key="once", operation="a2a")
    assert len({first.task.id, other_key.task.id, other_operation.task.id}) == 3


async def test_concurrent_duplicates_make_one_task(mesh: Hands) -> None:
    found = await asyncio.gather(*(mesh.submit("a", idempotency_key="once") for _ in range(24)))
    assert len({one.task.id for one in found}) == 1
    assert sum(not one.replayed for one in found) == 1
    assert len(await mesh.ledger.list_tasks()) == 1


async def test_steps_are_claimed_by_priority_then_deadline_then_age(mesh: Hands) -> None:
    order = [
        (await mesh.submit("a", priority=Priority.LOW, deadline_s=5)).task.id,
        (await mesh.submit("a", deadline_s=500)).task.id,
        (await mesh.submit("a", deadline_s=50)).task.id,
        (await mesh.submit("a", priority=Priority.HIGH, deadline_s=900)).task.id,
    ]
    claimed = [(await mesh.one()).task_id for _ in order]
    assert claimed == [order[3], order[2], order[1], order[0]]
    assert await mesh.claim() == ()


async def test_an_agent_claims_only_its_own_steps(mesh: Hands) -> None:
    await mesh.submit("other_a")
    assert await mesh.claim() == ()
    assert (await mesh.one("other")).skill == "other.say"


async def test_a_lower_fence_is_refused(mesh: Hands) -> None:
    await mesh.submit("a")
    lease = await mesh.one()
    with pytest.raises(StaleLease):
        await mesh.complete(lease.model_copy(update={"fence": lease.fence - 1}))
    await mesh.complete(lease)
    with pytest.raises(StaleLease):
        await mesh.complete(lease)


async def test_an_unknown_lease_is_stale(mesh: Hands) -> None:
    await mesh.submit("a")
    lease = await mesh.one()
    for other in ({"task_id": "task_x"}, {"step": "zz"}, {"attempt": 9}):
        with pytest.raises(StaleLease):
            await mesh.complete(lease.model_copy(update=other))


async def test_cancel_ends_the_steps_and_a_later_completion_is_refused(mesh: Hands) -> None:
    submitted = await mesh.submit("a b")
    lease = await mesh.one()
    task = await mesh.ledger.cancel(submitted.task.id, "no longer needed")
    assert task.state is TaskState.CANCELED
    with pytest.raises(StaleLease):
        await mesh.complete(lease)
    assert await mesh.claim() == ()
    lost = await mesh.ledger.renew(RenewRequest(runner="r1", leases=(held(lease),)))
    assert lost.lost == (held(lease),)
    with pytest.raises(IllegalTransition):
        await mesh.ledger.cancel(submitted.task.id)
    history = await mesh.ledger.history(submitted.task.id)
    assert {step.state.value for step in history.steps} == {"canceled"}
    assert min(step.fence for step in history.steps) >= 1
    assert history.events[-1].body.model_dump()["state"] == "canceled"


async def test_of_cancel_and_complete_the_first_wins(mesh: Hands) -> None:
    for _ in range(15):
        submitted = await mesh.submit("a")
        lease = await mesh.one()
        done, canceled = await asyncio.gather(
            mesh.complete(lease), mesh.ledger.cancel(submitted.task.id), return_exceptions=True
        )
        state = await mesh.state(submitted.task.id)
        if state == "completed":
            assert isinstance(canceled, IllegalTransition)
        else:
            assert state == "canceled"
            assert isinstance(done, StaleLease)


async def test_many_hands_leave_gapless_histories_and_no_step_runs_twice(mesh: Hands) -> None:
    ids = [(await mesh.submit("a b c d>a,b,c")).task.id for _ in range(6)]
    claimed: list[str] = []

    async def work(runner: str) -> None:
        while any([not (await mesh.ledger.get(task)).state.terminal for task in ids]):
            for lease in await mesh.claim(runner=runner, count=2):
                claimed.append(lease.run_id)
                note = ProgressNote(held=held(lease), fraction=0.5)
                await mesh.ledger.progress(ProgressRequest(notes=(note,)))
                await mesh.complete(lease, runner=runner)

    await asyncio.wait_for(asyncio.gather(*(work(f"r{n}") for n in range(6))), 60)
    assert sorted(claimed) == sorted(f"{task}.{step}.1" for task in ids for step in "abcd")
    for task in ids:
        history = await mesh.ledger.history(task)
        assert [event.seq for event in history.events] == list(range(1, history.task.last_seq + 1))
        states = [e.body.model_dump()["state"] for e in history.events if e.body.kind == "state"]
        assert states == ["submitted", "working", "completed"]


async def test_progress_is_stored_for_current_leases_alone_and_at_most_twice_a_second(mesh: Hands) -> None:
    submitted = await mesh.submit("a")
    lease = await mesh.one()
    stale = Held(task_id=lease.task_id, step="a", attempt=1, fence=7)
    for fraction in (0.1, 0.2, 0.3):
        note = ProgressNote(held=held(lease), fraction=fraction, message="half way")
        await mesh.ledger.progress(ProgressRequest(notes=(note,)))
    await mesh.ledger.progress(ProgressRequest(notes=(ProgressNote(held=stale), ProgressNote(held=stale))))
    found = [event.body for event in await mesh.ledger.events(submitted.task.id) if event.body.kind == "progress"]
    assert [body.model_dump()["fraction"] for body in found] == [0.1]


async def test_a_waiter_is_woken_by_the_commit_and_reads_on_from_its_number(mesh: Hands) -> None:
    submitted = await mesh.submit("a")
    last = submitted.task.last_seq
    assert not await mesh.ledger.wait(submitted.task.id, last, 0.01)
    waiting = asyncio.create_task(mesh.ledger.wait(submitted.task.id, last, 30))
    await asyncio.sleep(0)
    await mesh.one()
    assert await asyncio.wait_for(waiting, 5)
    assert (await mesh.ledger.events(submitted.task.id, after=last))[0].seq == last + 1


async def test_a_replay_is_a_new_task_of_the_same_request(mesh: Hands) -> None:
    submitted = await mesh.submit("a", deadline_s=33)
    await mesh.ledger.cancel(submitted.task.id)
    again = await mesh.ledger.replay(submitted.task.id, "key_2")
    assert again.task.replay_of == submitted.task.id
    assert again.task.key_id == "key_2"
    assert again.task.request == submitted.task.request
    assert (await mesh.complete(await mesh.one())).task_id == again.task.id


async def test_what_is_not_there_is_not_found(mesh: Hands) -> None:
    for look in (mesh.ledger.get, mesh.ledger.steps, mesh.ledger.events, mesh.ledger.history, mesh.ledger.cancel):
        with pytest.raises(NotFound):
            await look("task_none")


async def test_a_text_that_no_database_can_hold_is_refused(mesh: Hands) -> None:
    with pytest.raises(Invalid):
        await mesh.submit("a", context_id="a\x00b")


async def test_outputs_of_any_json_survive(mesh: Hands) -> None:
    submitted = await mesh.submit("a")
    strange = {"nul": "a\x00b", "big": 10**40, "emoji": "🙂", "русский": [None, 1.5, True]}
    await mesh.ledger.complete(outcome(await mesh.one(), output=strange))
    (run,) = await mesh.ledger.steps(submitted.task.id)
    assert run.output == strange


async def test_tasks_are_listed_newest_first_and_page_by_page(mesh: Hands) -> None:
    ids = []
    for number in range(4):
        ids.append((await mesh.submit("a", key_id=f"key_{number % 2}")).task.id)
        await asyncio.sleep(0.002)  # ids made within one millisecond have no order
    assert [task.id for task in await mesh.ledger.list_tasks(limit=3)] == ids[:0:-1]
    assert [task.id for task in await mesh.ledger.list_tasks(before=ids[1])] == ids[:1]
    assert [task.id for task in await mesh.ledger.list_tasks(key_id="key_1")] == [ids[3], ids[1]]
    assert await mesh.ledger.list_tasks(state=TaskState.FAILED) == []


async def test_work_of_low_priority_is_counted_as_ready_and_not_as_waiting_too_long(mesh: Hands) -> None:
    await mesh.submit("a", priority=Priority.LOW)
    stats = await mesh.ledger.stats()
    assert (sum(stats.ready.values()), stats.oldest_s) == (1, {})
    await mesh.submit("a")
    stats = await mesh.ledger.stats()
    assert (sum(stats.ready.values()), len(stats.oldest_s)) == (2, 1)
