"""The reconciler: engines get what should be served, and *live* is shown only where a probe proved it."""

import asyncio
import shutil
from datetime import timedelta

import pytest

from concilium.adapters.reconcile import keeper
from concilium.adapters.reconcile.inflight import Gone, InFlight
from concilium.contracts.adapter_life import ReplicaState
from concilium.contracts.adapters import Reference
from concilium.contracts.errors import Conflict, NotFound, Unavailable
from support.adapter_house import House
from support.adapter_life import DEED
from support.ledgers import until

LIVE, FAILED = ReplicaState.LIVE, ReplicaState.FAILED
SPORT = Reference.parse("sport@live")


async def test_what_is_live_is_loaded_under_its_served_name_and_proven_on_every_replica(house: House) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}
    assert all(list(engine.loaded) == [record.served_name] for engine in house.engines.values())
    assert "3.900 above the base" in await house.told(record)
    route = await reconciler.route(SPORT, "c1")
    assert (route.record.digest, route.replicas) == (record.digest, ("one", "two"))


async def test_nothing_is_asked_again_while_all_is_as_it_should_be(house: House) -> None:
    await house.live()
    reconciler = house.reconciler()
    for _ in range(3):
        await reconciler.round()
    assert [len(engine.asked) for engine in house.engines.values()] == [1, 1]


async def test_after_an_engine_restart_its_adapters_are_back_and_proven_anew(house: House) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    house.engines["one"].restart()
    house.engines["one"].silently_base = True
    await reconciler.round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}
    assert (await reconciler.route(SPORT, "c1")).replicas == ("two",)
    house.engines["one"].silently_base = False
    await reconciler.round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}


async def test_while_a_restarted_engine_loads_again_nothing_is_sent_to_it(house: House) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    engine = house.engines["one"]
    engine.restart()
    engine.loads_wait = asyncio.Event()
    loading = asyncio.create_task(reconciler.round())

    async def asked_again() -> bool:
        return len(engine.asked) == 2

    await until(asked_again)
    assert await house.shown(record) == {"one": ReplicaState.LOADING, "two": LIVE}
    assert (await reconciler.route(SPORT, "c1")).replicas == ("two",)
    engine.loads_wait.set()
    await loading
    assert (await reconciler.route(SPORT, "c1")).replicas == ("one", "two")


async def test_a_load_whose_answer_was_lost_is_found_done_and_proven(house: House) -> None:
    house.engines["one"].lose_answers = 1
    record = await house.live()
    await house.reconciler().round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}
    assert house.engines["one"].asked == [f"load {record.served_name}"]


async def test_a_new_control_plane_adopts_what_engines_have_and_proves_it_first(house: House) -> None:
    record = await house.live()
    await house.reconciler().round()
    house.engines["one"].loaded[record.served_name] = None
    again = house.reconciler()
    await again.round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}
    assert house.engines["two"].asked == [f"load {record.served_name}"], "what was there was not loaded again"


async def test_an_engine_that_says_success_for_a_missing_path_is_seen_through(house: House) -> None:
    engine = house.engines["one"]
    engine.swallow_missing = True
    engine.store = house.folder / "elsewhere"  # the mount of this replica is empty
    reconciler = house.reconciler()
    engine.store = house.registry.store.folder
    record = await house.live()
    await reconciler.round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}
    assert "answers as its base" in await house.told(record)
    assert engine.loaded == {}, "what is not proven does not stay loaded"


async def test_an_adapter_that_is_silently_the_base_is_seen_and_never_routed_to(house: House) -> None:
    for engine in house.engines.values():
        engine.silently_base = True
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    assert set((await house.shown(record)).values()) == {FAILED}
    with pytest.raises(Unavailable, match="served nowhere"):
        await reconciler.route(SPORT, "c1")


async def test_health_without_generation_is_no_proof(house: House) -> None:
    house.engines["one"].dead_inside = True
    record = await house.live()
    await house.reconciler().round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}
    assert "does not answer for it (refused: /v1/completions answered 500)" in await house.told(record)


async def test_anothers_answers_are_no_proof(house: House) -> None:
    house.engines["one"].wrong_adapter = True
    record = await house.live()
    await house.reconciler().round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}
    assert "as another adapter would" in await house.told(record)


async def test_the_noise_of_another_number_format_is_within_the_tolerance(house: House) -> None:
    house.engines["one"].noise = -0.05
    record = await house.live()
    await house.reconciler().round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}


async def test_a_proof_does_not_last(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    house.engines["one"].loaded[record.served_name] = None
    await reconciler.round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}, "a proof is good for a while"
    monkeypatch.setattr(keeper, "PROVE_AGAIN_S", 0.0)
    await reconciler.round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}


async def test_an_engine_with_too_much_to_do_keeps_what_it_proved_for_a_while_but_proves_nothing_new(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    house.engines["one"].overloaded = True
    monkeypatch.setattr(keeper, "PROVE_AGAIN_S", 0.0)
    other = await house.live("chess")
    await reconciler.round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}
    assert await house.shown(other) == {"one": FAILED, "two": LIVE}
    monkeypatch.setattr(keeper, "STALE_S", 0.0)
    await reconciler.round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}


async def test_files_that_cannot_be_kept_in_memory_stop_nothing_else(house: House) -> None:
    for engine in house.engines.values():
        engine.slots = 1
    lost, record = await house.live("lost"), await house.live("sport")
    shutil.rmtree(house.registry.store.path(lost.digest))
    await house.reconciler(adapters={"lost": {"tier": "ram"}, "sport": {"priority": 1}}).round()
    assert await house.shown(record) == {"one": LIVE, "two": LIVE}


async def test_an_engine_that_is_away_shows_nothing_as_live_and_keeps_others_going(house: House) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    house.engines["one"].secret_file.write_text("wrong\n")
    await reconciler.round()
    assert await house.shown(record) == {"one": FAILED, "two": LIVE}
    assert "answered 401" in await house.told(record)
    assert (await reconciler.route(SPORT, "c1")).replicas == ("two",)


async def test_what_was_damaged_in_the_store_is_never_shown_to_an_engine(house: House) -> None:
    record = await house.live()
    weights = house.registry.store.path(record.digest) / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    await house.reconciler().round()
    assert set((await house.shown(record)).values()) == {FAILED}
    assert all(not [word for word in engine.asked if word.startswith("load")] for engine in house.engines.values())


async def test_a_version_that_is_revoked_while_it_serves_is_unloaded_and_the_reason_is_shown(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PROVE_AGAIN_S", 0.0)
    record = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    house.owner.revoke(record, "it was trained on letters")
    await reconciler.round()
    assert await house.shown(record) == {"one": FAILED, "two": FAILED}
    assert "it was trained on letters" in await house.told(record)
    assert all(engine.loaded == {} for engine in house.engines.values())
    with pytest.raises(Unavailable):
        await reconciler.route(SPORT, "c1")


async def test_under_an_index_that_has_run_out_no_engine_is_told_of_anything(house: House) -> None:
    record = await house.live()
    house.owner.ahead = timedelta(days=60)
    await house.reconciler().round()
    assert await house.shown(record) == {"one": FAILED, "two": FAILED}
    assert "expired" in await house.told(record)
    told = [call for engine in house.engines.values() for call in engine.asked]
    assert not any(call.startswith("load") for call in told)


async def test_candidates_and_retired_versions_are_not_loaded_and_strangers_are_unloaded(house: House) -> None:
    record = await house.live()
    reconciler = house.reconciler()
    house.engines["one"].loaded["evil@6.6.6+666666666666"] = None
    await reconciler.round()
    assert list(house.engines["one"].loaded) == [record.served_name]
    await house.registry.retire(record.digest, DEED)
    await reconciler.round()
    assert all(engine.loaded == {} for engine in house.engines.values())
    assert await house.shown(record) == {}
    for text in ("sport@live", "sport@9.0.0"):
        with pytest.raises(NotFound):
            await reconciler.route(Reference.parse(text), "c1")
    with pytest.raises(Conflict, match="no engine may load it"):
        await reconciler.route(Reference.parse("sport@1.0.0"), "c1")


async def test_a_publish_and_a_rollback_by_hand_reach_every_replica(house: House) -> None:
    first = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    second = await house.live(version="2.0.0")
    await reconciler.round()
    assert await house.shown(second) == {"one": LIVE, "two": LIVE}
    assert (await reconciler.route(SPORT, "c1")).record.digest == second.digest
    await reconciler.round()
    assert await house.shown(first) == {}, "what was live before goes once its successor is proven everywhere"
    await house.registry.rollback("sport", DEED)
    await reconciler.round()
    assert await house.shown(first) == {"one": LIVE, "two": LIVE}
    assert await house.shown(second) == {}
    assert all(list(engine.loaded) == [first.served_name] for engine in house.engines.values())
    assert (await reconciler.route(SPORT, "c1")).record.digest == first.digest


async def test_a_publish_that_no_engine_proves_leaves_the_version_before_serving(house: House) -> None:
    first = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    for engine in house.engines.values():
        engine.silently_base = True
    second = await house.live(version="2.0.0")
    for _ in range(2):
        await reconciler.round()
        assert (await reconciler.route(SPORT, "c1")).record.digest == first.digest
    assert await house.shown(second) == {"one": FAILED, "two": FAILED}
    house.engines["one"].silently_base = False
    await reconciler.round()
    route = await reconciler.route(SPORT, "c1")
    assert (route.record.digest, route.replicas) == (second.digest, ("one",))
    house.engines["two"].silently_base = False
    await reconciler.round()
    await reconciler.round()
    assert await house.shown(second) == {"one": LIVE, "two": LIVE}
    assert await house.shown(first) == {}


async def test_a_publish_is_carried_out_at_once_by_a_running_reconciler(house: House) -> None:
    reconciler = house.reconciler()
    running = asyncio.create_task(reconciler.run())
    try:
        record = await house.live()
        reconciler.nudge()

        async def everywhere() -> bool:
            return await house.shown(record) == {"one": LIVE, "two": LIVE}

        await until(everywhere)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_request_in_flight_ends_on_the_version_it_began_with(house: House) -> None:
    first = await house.live()
    reconciler = house.reconciler()
    await reconciler.round()
    with reconciler.in_flight.use("one", first.served_name):
        await house.live(version="2.0.0")
        for _ in range(3):
            await reconciler.round()
        assert first.served_name in house.engines["one"].loaded
        assert first.served_name not in house.engines["two"].loaded
    await reconciler.round()
    assert first.served_name not in house.engines["one"].loaded


async def test_of_two_publishers_one_wins_and_all_replicas_serve_the_winners_version(house: House) -> None:
    rivals = [await house.verified(version=f"1.{number}.0") for number in range(3)]
    tries = (house.registry.promote(rival.digest, 0, DEED) for rival in rivals)
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in found) == 2
    reconciler = house.reconciler()
    await reconciler.round()
    winner = (await house.registry.line("sport")).live
    (served,) = {name for engine in house.engines.values() for name in engine.loaded}
    assert winner is not None
    assert served.endswith(winner[:12])


async def test_a_canary_is_served_to_its_share_of_contexts_and_the_same_ones_each_time(house: House) -> None:
    first, second = await house.live(), await house.verified(version="2.0.0")
    await house.canary(second, share=0.3)
    reconciler = house.reconciler()
    await reconciler.round()
    chosen = [(await reconciler.route(SPORT, f"c{number}")).record.digest for number in range(400)]
    assert 80 < chosen.count(second.digest) < 160
    assert chosen.count(first.digest) == 400 - chosen.count(second.digest)
    again = [(await reconciler.route(SPORT, f"c{number}")).record.digest for number in range(400)]
    assert again == chosen


async def test_while_no_replica_serves_the_canary_everybody_gets_what_is_live(house: House) -> None:
    first, second = await house.live(), await house.verified(version="2.0.0")
    reconciler = house.reconciler()
    await reconciler.round()
    await house.canary(second, share=0.5)
    for engine in house.engines.values():
        engine.refuse_loads = True
    await reconciler.round()
    for number in range(20):
        assert (await reconciler.route(SPORT, f"c{number}")).record.digest == first.digest


async def test_more_adapters_than_slots_are_loaded_on_demand_and_never_more_at_once(house: House) -> None:
    for engine in house.engines.values():
        engine.slots = 2
    records = [await house.live(f"a{number}") for number in range(5)]
    reconciler = house.reconciler()
    await reconciler.round()
    for turn in range(3):
        for record in records:
            route = await reconciler.route(Reference(id=record.id, at="live"), f"c{turn}")
            assert route.record.digest == record.digest
            for name in route.replicas:
                assert record.served_name in house.engines[name].loaded
    assert all(engine.most <= 2 for engine in house.engines.values())
    where = {name: found.where for name, found in (await reconciler.why(Reference.parse("a4@live"))).items()}
    assert where == {name: "gpu" if records[-1].served_name in engine.loaded else "ram"
                     for name, engine in house.engines.items()}  # fmt: skip


async def test_when_every_slot_is_busy_the_caller_is_told_to_come_again(house: House) -> None:
    for engine in house.engines.values():
        engine.slots = 1
    busy, other = await house.live("busy"), await house.live("other")
    reconciler = house.reconciler(adapters={"busy": {"priority": 5}})
    await reconciler.round()
    with (
        reconciler.in_flight.use("one", busy.served_name),
        reconciler.in_flight.use("two", busy.served_name),
        pytest.raises(Unavailable, match="busy or pinned"),
    ):
        await reconciler.route(Reference(id="other", at="live"), "c1")
    assert (await reconciler.route(Reference(id="other", at="live"), "c1")).record.digest == other.digest


async def test_what_gc_removed_is_never_loaded_and_what_is_loaded_is_never_removed(house: House) -> None:
    record = await house.verified()
    reconciler = house.reconciler()
    await reconciler.round()
    await reconciler.route(Reference.parse("sport@1.0.0"), "c1")
    await house.registry.retire(record.digest, DEED)
    assert (await house.registry.gc(0, DEED)).removed == ()
    await reconciler.round()
    assert (await house.registry.gc(0, DEED)).removed == (record.digest,)


async def test_a_replica_that_is_configured_no_longer_keeps_nothing_from_gc(house: House) -> None:
    record = await house.live()
    await house.reconciler().round()
    del house.engines["two"]
    await house.reconciler().forget_strangers()
    assert set(await house.shown(record)) == {"one"}


async def test_a_drain_lets_nothing_new_begin_and_gives_up_at_its_limit() -> None:
    in_flight = InFlight()
    with in_flight.use("one", "a"):
        assert not await in_flight.drained("one", "a", 0.01)
        with pytest.raises(Gone), in_flight.use("one", "a"):
            pass
        with in_flight.use("two", "a"):
            pass
        waiting = asyncio.create_task(in_flight.drained("one", "a", 20))
    assert await waiting
    in_flight.opened("one", "a")
    with in_flight.use("one", "a"):
        assert in_flight.busy("one") == {"a"}


async def test_a_replica_without_the_files_refuses_and_the_next_round_finds_them(house: House) -> None:
    record = await house.live()
    away = house.folder / "away"
    lies = house.registry.store.path(record.digest)
    house.engines["one"].store.chmod(0o755)
    shutil.move(lies, away)
    reconciler = house.reconciler()
    await reconciler.round()
    assert set((await house.shown(record)).values()) == {FAILED}
    shutil.move(away, lies)
    await reconciler.round()
    assert set((await house.shown(record)).values()) == {LIVE}


async def test_of_two_control_planes_one_keeps_the_engines_and_the_other_routes_by_what_it_proved(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await house.live()
    first, second = house.reconciler(), house.reconciler()
    running = [asyncio.create_task(first.run())]
    try:

        async def proven() -> bool:
            return set((await house.shown(record)).values()) == {LIVE}

        await until(proven)
        running.append(asyncio.create_task(second.run()))

        async def routed() -> bool:
            try:
                return len((await second.route(SPORT, "c1")).replicas) == 2
            except Unavailable:
                return False

        await until(routed)
        assert [len(engine.asked) for engine in house.engines.values()] == [1, 1]
        other = await house.verified("chess")
        with pytest.raises(Unavailable, match="another process"):
            await second.route(Reference.parse("chess@1.0.0"), "c1")
        # The first one stops: the second takes over and loads.
        running[0].cancel()
        await asyncio.gather(running[0], return_exceptions=True)

        async def taken_over() -> bool:
            second.nudge()
            try:
                return bool((await second.route(Reference.parse("chess@1.0.0"), "c1")).replicas)
            except Unavailable:
                return False

        await until(taken_over)
        assert LIVE in (await house.shown(other)).values()
        monkeypatch.setattr(keeper, "PROVE_AGAIN_S", 0.0)
        await second.round()
        assert set((await house.shown(record)).values()) == {LIVE}, "what the first one proved is proven anew"
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
