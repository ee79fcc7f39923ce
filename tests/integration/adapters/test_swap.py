"""Versions change under load: no request fails, and none is answered by another version than it began with."""

import asyncio
from typing import Any

from concilium.adapters.reconcile.inflight import Gone
from concilium.adapters.reconcile.reconciler import Reconciler
from concilium.contracts.adapter_life import ReplicaState
from concilium.contracts.adapters import Reference
from support.adapter_house import House
from support.adapter_life import DEED
from support.ledgers import until
from support.lora_engine import SECRET

SPORT = Reference.parse("sport@live")


async def ask(house: House, reconciler: Reconciler, context: str) -> tuple[str, int]:
    """Ask one replica that serves the adapter; return the served name and the status of the answer."""
    while True:
        route = await reconciler.route(SPORT, context)
        replica, served = route.replicas[hash(context) % len(route.replicas)], route.record.served_name
        try:
            with reconciler.in_flight.use(replica, served):
                return served, await complete(house, replica, served)
        except Gone:
            continue


async def complete(house: House, replica: str, served: str) -> int:
    body: dict[str, Any] = {"model": served, "prompt": [1, 2, 3, 1001, 2001], "max_tokens": 1}
    headers = {"Authorization": f"Bearer {SECRET}"}
    url = f"{house.engines[replica].url}/v1/completions"
    async with house.session.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def test_publishing_and_rolling_back_under_load_fails_no_request(house: House) -> None:
    first = await house.live()
    rest = [await house.verified(version=f"{number}.0.0") for number in (2, 3)]
    reconciler = house.reconciler()
    await reconciler.round()
    running, over, answers = asyncio.create_task(reconciler.run()), asyncio.Event(), list[tuple[str, int]]()

    async def caller(name: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            answers.append(await ask(house, reconciler, f"c{name}-{number}"))

    callers = [asyncio.create_task(caller(name)) for name in range(6)]
    try:
        for record in rest:
            await house.promote(record)
            reconciler.nudge()
            await until(lambda record=record: everywhere(house, record.digest))  # type: ignore[misc]
        back = await house.registry.rollback("sport", DEED)
        reconciler.nudge()
        await until(lambda: everywhere(house, back.live or ""))
    finally:
        over.set()
        found = await asyncio.gather(*callers, return_exceptions=True)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert found == [None] * len(callers)
    assert {status for _, status in answers} == {200}
    assert {served for served, _ in answers} == {record.served_name for record in (first, *rest)}


async def everywhere(house: House, digest: str) -> bool:
    """Whether a version, and nothing else, is shown live on both replicas."""
    shown = [(one.digest, one.state) for one in await house.ledger.adapter_replicas()]
    return shown == [(digest, ReplicaState.LIVE)] * 2
