"""Canaries end to end: answers are counted, a regression is rolled back by itself, and engines follow."""

import asyncio

import pytest

from concilium.adapters.canary.observer import Observer
from concilium.adapters.canary.share import gets_canary
from concilium.adapters.canary.watch import Seen
from concilium.contracts.adapters import Alias, Reference
from concilium.contracts.errors import Unavailable
from support.adapter_house import House
from support.ledgers import until

SPORT = Reference.parse("sport@live")


async def test_a_canary_that_fails_is_rolled_back_with_the_reason_and_leaves_the_engines(house: House) -> None:
    first, second = await house.live(), await house.verified(version="2.0.0")
    await house.canary(second, share=0.2)
    reconciler = house.reconciler()
    observer = Observer(house.registry, reconciler.nudge)
    await reconciler.round()
    running = asyncio.create_task(reconciler.run())
    try:
        for number in range(400):
            route = await reconciler.route(SPORT, f"c{number}")
            bad = route.record.digest == second.digest
            observer.saw(route.line, route.record.digest, Seen(f"c{number}", error=bad, latency_s=0.1))
            if number % 20 == 0:
                await observer.flush()
        line = await house.registry.line("sport")
        assert (line.live, line.canary) == (first.digest, None)
        last = (await house.ledger.adapter_events("sport"))[-1]
        assert (last.what, last.who, last.digest) == ("rolled-back", "canary", second.digest)
        assert "errors:" in last.why

        async def gone() -> bool:
            return not await house.shown(second)

        await until(gone)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert all(second.served_name not in engine.loaded for engine in house.engines.values())


async def test_a_canary_that_is_as_good_stays_and_can_be_promoted(house: House) -> None:
    await house.live()
    second = await house.verified(version="2.0.0")
    await house.canary(second)
    reconciler = house.reconciler()
    observer = Observer(house.registry, reconciler.nudge)
    await reconciler.round()
    for number in range(100):
        route = await reconciler.route(SPORT, f"c{number}")
        observer.saw(
            route.line, route.record.digest, Seen(f"c{number}", error=number % 10 == 0, latency_s=0.1, score=0.9)
        )
    await observer.flush()
    canary = (await house.registry.line("sport")).canary
    assert canary is not None
    assert canary.counts.canary.seen + canary.counts.live.seen == 100
    assert canary.counts.canary.errors + canary.counts.live.errors == 10
    await house.promote(second)
    assert (await house.registry.line("sport")).alias(Alias.LIVE) == second.digest


async def test_what_the_ledger_cannot_take_now_is_counted_the_next_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await house.live(), await house.verified(version="2.0.0")
    await house.canary(second)
    observer, line = Observer(house.registry, lambda: None), await house.registry.line("sport")
    served = {False: first.digest, True: second.digest}
    observer.saw(line, served[gets_canary(line, "c1")], Seen("c1", error=True))
    observer.saw(line, served[not gets_canary(line, "c2")], Seen("c2", error=True))  # not what its draw says

    async def away(*_: object) -> None:
        raise Unavailable("the database cannot be used now")

    with monkeypatch.context() as patch:
        patch.setattr(house.ledger, "observe_canary", away)
        await observer.flush()
    await observer.flush()
    line = await house.ledger.adapter_line("sport")
    assert line.canary is not None
    assert line.canary.counts.canary.errors + line.canary.counts.live.errors == 1
