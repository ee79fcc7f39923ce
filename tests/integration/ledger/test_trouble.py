"""Lost runners, deadlines, questions: what the reconciler and the caller do about them."""

import asyncio
import time
from pathlib import Path

import pytest

from concilium.contracts import limits
from concilium.contracts.errors import IllegalTransition, Invalid, StaleLease
from concilium.contracts.runner import RenewRequest
from concilium.contracts.states import TaskState
from support.ledgers import Hands, hands, held, until


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RETRY_BASE_S", 0.01)


@pytest.mark.usefixtures("_impatient")
async def test_an_expired_lease_is_granted_again_and_the_zombie_cannot_commit(hasty: Hands) -> None:
    submitted = await hasty.submit("a")
    zombie = await hasty.one(runner="r1")
    heir = await hasty.soon(runner="r2")
    assert (heir.run_id, heir.fence, heir.grants) == (zombie.run_id, zombie.fence + 1, 2)
    with pytest.raises(StaleLease):
        await hasty.complete(zombie)
    assert (await hasty.ledger.renew(RenewRequest(runner="r1", leases=(held(zombie),)))).lost == (held(zombie),)
    await hasty.complete(heir, runner="r2")
    assert await hasty.state(submitted.task.id) == "completed"


@pytest.mark.usefixtures("_impatient")
async def test_without_the_fencing_check_the_zombie_does_commit(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.2, check_fence=False) as unfenced:
        submitted = await unfenced.submit("a")
        zombie = await unfenced.one()
        heir = await unfenced.soon(runner="r2")
        await unfenced.complete(zombie)
        history = await unfenced.ledger.history(submitted.task.id)
        fences = [event.body.model_dump().get("fence", 0) for event in history.events]
        assert heir.fence > zombie.fence == history.steps[0].fence
        assert max(fences) == heir.fence


async def test_a_renewed_lease_is_not_taken_back(url: str, tmp_path: Path) -> None:
    ttl_s = 2.0  # far more than a busy machine takes for one round
    async with hands(url, tmp_path / "blobs", lease_ttl_s=ttl_s) as steady:
        await steady.submit("a")
        lease = await steady.one()
        until_s = time.monotonic() + 1.5 * ttl_s
        while time.monotonic() < until_s:
            assert not (await steady.ledger.renew(RenewRequest(runner="r1", leases=(held(lease),)))).lost
            assert not (await steady.ledger.sweep()).expired
            await asyncio.sleep(0.02)
        await steady.complete(lease)


async def test_all_leases_of_a_runner_are_renewed_in_one_statement(mesh: Hands) -> None:
    await mesh.submit("a b c")
    leases = await mesh.claim(count=3)
    before = await mesh.ledger.stats()
    wish = RenewRequest(runner="r1", leases=tuple(map(held, leases)))
    assert not (await mesh.ledger.renew(wish)).lost
    after = await mesh.ledger.stats()
    assert (after.commits - before.commits, after.statements - before.statements) == (1, 1)
    stolen = await mesh.ledger.renew(wish.model_copy(update={"runner": "r2"}))
    assert len(stolen.lost) == 3


@pytest.mark.usefixtures("_impatient")
async def test_a_step_that_kills_every_runner_fails_after_five_grants(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.05) as hasty:
        submitted = await hasty.submit("a")
        grants = [await hasty.soon() for _ in range(limits.GRANTS_MAX)]
        assert [lease.grants for lease in grants] == [1, 2, 3, 4, 5]
        heir = await hasty.soon()
        assert (heir.attempt, heir.grants) == (2, 1)
        assert heir.fence > grants[-1].fence
        run = (await hasty.ledger.steps(submitted.task.id))[0]
        assert run.problem is not None
        assert (run.problem.type, run.problem.retryable) == ("lease-lost", True)


@pytest.mark.parametrize(("said", "state"), [("retry", "ready"), ("Пропустить, спасибо", "failed")])
async def test_an_external_step_of_unknown_outcome_is_not_repeated_but_asked_about(
    hasty: Hands, said: str, state: str
) -> None:
    submitted = await hasty.submit("ext")
    lost = await hasty.one()

    async def asked() -> bool:
        await hasty.ledger.sweep()
        return await hasty.state(submitted.task.id) == "input-required"

    await until(asked)
    assert await hasty.claim() == ()
    with pytest.raises(StaleLease):
        await hasty.complete(lost)
    task = await hasty.ledger.get(submitted.task.id)
    assert task.question is not None
    assert "unknown" in task.question
    with pytest.raises(Invalid):
        await hasty.ledger.reply(task.id, "what?")
    answered = await hasty.ledger.reply(task.id, said)
    (run,) = await hasty.ledger.steps(task.id)
    assert run.state == state
    assert len(answered.rings) == (state == "ready")


async def test_a_task_past_its_deadline_fails_and_its_steps_are_canceled(mesh: Hands) -> None:
    submitted = await mesh.submit("a b", deadline_s=0.2)
    lease = await mesh.one()
    assert lease.deadline_s <= 0.2

    async def timed_out() -> int:
        return (await mesh.ledger.sweep()).timed_out

    await until(timed_out)
    task = await mesh.ledger.get(submitted.task.id)
    assert task.state is TaskState.FAILED
    assert task.problem is not None
    assert task.problem.type == "deadline-exceeded"
    with pytest.raises(StaleLease):
        await mesh.complete(lease)
    assert {run.state.value for run in await mesh.ledger.steps(task.id)} == {"canceled"}


async def test_the_time_a_task_waits_for_its_caller_does_not_count(mesh: Hands) -> None:
    submitted = await mesh.submit("ask a", deadline_s=0.3)
    assert submitted.task.state is TaskState.INPUT_REQUIRED
    assert submitted.task.question == "which one?"
    await asyncio.sleep(0.4)  # time itself is what is tested
    assert not (await mesh.ledger.sweep()).timed_out
    answered = await mesh.ledger.reply(submitted.task.id, "this one")
    assert answered.task.question is None
    assert answered.task.request.replies == ("this one",)
    assert (answered.task.deadline_at - submitted.task.deadline_at).total_seconds() >= 0.4
    lease = await mesh.one()
    assert lease.replies == ("this one",)
    assert (await mesh.complete(lease)).finished


async def test_a_step_may_ask_and_runs_again_with_the_reply(mesh: Hands) -> None:
    submitted = await mesh.submit("a b")
    asking, _other = await mesh.claim(count=2)
    await mesh.complete(asking, "input-required", question="left or right?")
    task = await mesh.ledger.get(submitted.task.id)
    assert (task.state, task.question) == (TaskState.INPUT_REQUIRED, "left or right?")
    assert await mesh.claim() == ()
    answered = await mesh.ledger.reply(task.id, "left")
    assert [ring.step_id for ring in answered.rings] == [asking.run_id]
    again = await mesh.one()
    assert (again.run_id, again.replies, again.fence) == (asking.run_id, ("left",), asking.fence + 1)
    with pytest.raises(IllegalTransition):
        await mesh.ledger.reply(task.id, "right")


async def test_a_completion_while_the_task_asks_is_kept_and_folded_after_the_reply(mesh: Hands) -> None:
    submitted = await mesh.submit("a b c>b")
    asking, other = await mesh.claim(count=2)
    await mesh.complete(asking, "input-required", question="which?")
    assert not (await mesh.complete(other)).rings
    answered = await mesh.ledger.reply(submitted.task.id, "that")
    assert {ring.step_id.split(".")[1] for ring in answered.rings} == {"a", "c"}


async def test_steps_are_rung_again_ever_more_slowly_unless_the_queue_covers_them(
    mesh: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RING_BASE_S", 0.1)
    submitted = await mesh.submit("a")

    async def rung() -> tuple[object, ...]:
        assert not (await mesh.ledger.sweep({"echo": 1})).rings
        return (await mesh.ledger.sweep({"echo": 0})).rings

    loop = asyncio.get_running_loop()
    pauses = []
    for _ in range(3):
        start = loop.time()
        assert [ring.step_id for ring in await until(rung)] == [f"{submitted.task.id}.a.1"]
        pauses.append(loop.time() - start)
    assert pauses[2] > pauses[1] > 0.09
    assert pauses[2] > 0.19


async def test_a_sweep_rings_a_bounded_number(mesh: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RING_BASE_S", 0.0)
    await asyncio.gather(*(mesh.submit("a b c d") for _ in range(60)))
    assert len((await mesh.ledger.sweep()).rings) == limits.RING_SWEEP_MAX


async def test_a_thought_is_leased_stored_once_and_moves_the_turn_on(hasty: Hands) -> None:
    submitted = await hasty.submit("think a")
    (first,) = await hasty.ledger.claim_thoughts("b1", 5)
    assert (first.task_id, first.name, first.turn.request.text) == (submitted.task.id, "plan", "think a")
    assert await hasty.ledger.claim_thoughts("b2", 5) == ()
    assert await hasty.ledger.renew_thoughts("b1", ((first.task_id, first.fence),)) == ()

    async def taken_over() -> tuple[object, ...]:
        return await hasty.ledger.claim_thoughts("b2", 5)

    (second,) = await until(taken_over)
    assert second.fence == first.fence + 1
    assert await hasty.ledger.renew_thoughts("b1", ((first.task_id, first.fence),)) == (first.task_id,)
    with pytest.raises(StaleLease):
        await hasty.ledger.commit_thought(first.task_id, first.fence, "plan", {"old": True})
    moved = await hasty.ledger.commit_thought(second.task_id, second.fence, "plan", {"steps": ["a"]})
    assert [ring.step_id for ring in moved.rings] == [f"{submitted.task.id}.a.1"]
    with pytest.raises(StaleLease):
        await hasty.ledger.commit_thought(second.task_id, second.fence, "plan", {"steps": []})
    assert await hasty.ledger.claim_thoughts("b2", 5) == ()


async def test_a_failing_fold_loses_nothing_and_ends_with_the_deadline(url: str, tmp_path: Path) -> None:
    from support.fold import advance

    def broken(turn):  # type: ignore[no-untyped-def]  # a fold with a bug
        if turn.runs:
            raise KeyError("oops")
        return advance(turn)

    async with hands(url, tmp_path / "blobs", advance=broken) as mesh:
        submitted = await mesh.submit("a", deadline_s=0.5)
        lease = await mesh.one()
        with pytest.raises(Exception, match="the fold failed"):
            await mesh.complete(lease)
        assert (await mesh.ledger.steps(submitted.task.id))[0].state == "working"

        async def timed_out() -> int:
            return (await mesh.ledger.sweep()).timed_out

        await until(timed_out)
        assert await mesh.state(submitted.task.id) == "failed"
