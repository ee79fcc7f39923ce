"""Callbacks: queued with the state, in order per task and target, at least once."""

import json

import pytest

from concilium.contracts.errors import Conflict, NotFound
from concilium.ledger import DeliveryState, outbox
from support.ledgers import Hands, until

HOOK = "https://example.org/hook"


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "RETRY_BASE_S", 0.01)


async def test_every_awaited_state_queues_one_callback_with_the_task(mesh: Hands) -> None:
    submitted = await mesh.submit("ask a", callback_url=HOOK)
    await mesh.ledger.reply(submitted.task.id, "yes")
    await mesh.complete(await mesh.one())
    canceled = await mesh.submit("a", callback_url=HOOK)
    await mesh.ledger.cancel(canceled.task.id)
    await mesh.submit("a")
    kinds = {}
    for task in (submitted.task.id, canceled.task.id):
        kinds[task] = [delivery.type for delivery in (await mesh.ledger.history(task)).deliveries]
    assert kinds[submitted.task.id] == ["task.input-required", "task.completed"]
    assert kinds[canceled.task.id] == ["task.canceled"]
    last = (await mesh.ledger.history(submitted.task.id)).deliveries[-1]
    body = json.loads(last.payload)
    assert (body["id"], body["state"], body["answer"]["text"]) == (submitted.task.id, "completed", "done")
    assert (last.url, last.key_id) == (HOOK, "key_1")


async def test_callbacks_of_one_task_go_out_in_order_and_of_others_side_by_side(mesh: Hands) -> None:
    first = await mesh.submit("ask a", callback_url=HOOK)
    await mesh.ledger.cancel(first.task.id)
    second = await mesh.submit("ask a", callback_url=HOOK)
    due = await mesh.ledger.outbox_due(10)
    assert {(delivery.task_id, delivery.type) for delivery in due} == {
        (first.task.id, "task.input-required"),
        (second.task.id, "task.input-required"),
    }
    assert await mesh.ledger.outbox_due(10) == []
    for delivery in due:
        await mesh.ledger.outbox_delivered(delivery.id)
    assert [delivery.type for delivery in await mesh.ledger.outbox_due(10)] == ["task.canceled"]


@pytest.mark.usefixtures("_impatient")
async def test_a_callback_that_keeps_failing_is_dead_and_can_be_replayed(mesh: Hands) -> None:
    task = await mesh.submit("ask a", callback_url=HOOK)
    await mesh.ledger.cancel(task.task.id)

    async def due() -> list[object]:
        return list(await mesh.ledger.outbox_due(10))

    states = []
    for _ in range(3):
        (delivery,) = await until(due)
        assert delivery.type == "task.input-required"
        states.append(await mesh.ledger.outbox_failed(delivery.id, "503", attempts_max=3))
    assert states == [DeliveryState.QUEUED, DeliveryState.QUEUED, DeliveryState.DEAD]
    (dead,) = await mesh.ledger.outbox_dead()
    assert (dead.id, dead.attempts, dead.error) == (delivery.id, 3, "503")
    (following,) = await until(due)
    assert following.type == "task.canceled"
    with pytest.raises(Conflict):
        await mesh.ledger.outbox_replay(following.id)
    again = await mesh.ledger.outbox_replay(dead.id)
    assert (again.id, again.state) == (dead.id, DeliveryState.QUEUED)
    (taken,) = await mesh.ledger.outbox_due(10)
    await mesh.ledger.outbox_delivered(taken.id)
    assert await mesh.ledger.outbox_dead() == []
    with pytest.raises(NotFound):
        await mesh.ledger.outbox_delivered("msg_none")
