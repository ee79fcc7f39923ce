"""Placement: budgets hold whatever is asked for, the order of leaving is one, and one adapter too many is no cliff."""

import random
from itertools import cycle, islice

import pytest
from benchmarks.adapters_placement import Costs, Lru, Planner, shifting, simulate, zipf
from hypothesis import given, settings
from hypothesis import strategies as st

from concilium.adapters.place.planner import Plan, eviction_order, recovered, settle, use
from concilium.adapters.place.state import Budget, Item, Replica
from concilium.adapters.place.why import why

COSTS = Costs(load_s=0.4, warm_s=0.1, answer_s=1.0, apart_s=0.5)
QUIET = Costs(load_s=0.1, warm_s=0.1, answer_s=0.01, apart_s=10)


def item(number: int, size: int = 10, **terms: object) -> Item:
    return Item(f"{number:064x}", f"a{number}@1.0.0", size, **terms)  # type: ignore[arg-type]


def replica(slots: int = 3, gpu_bytes: int = 1000, ram_bytes: int = 1000) -> Replica:
    return Replica(Budget(slots, gpu_bytes, ram_bytes))


def after(state: Replica, *items: Item) -> Replica:
    """Return the state after requests, each of which must be served."""
    for each in items:
        plan = use(state, each)
        assert not plan.refused
        state = plan.state
    return state


items_ = st.builds(
    item,
    st.integers(0, 9),
    st.integers(1, 60),
    tier=st.sampled_from(["gpu", "ram", "disk"]),
    pin=st.booleans(),
    priority=st.integers(-1, 1),
)


@settings(max_examples=300, deadline=None)
@given(
    st.builds(Budget, st.integers(1, 4), st.integers(1, 150), st.integers(0, 150)),
    st.lists(st.tuples(items_, st.sets(st.integers(0, 9)), st.booleans()), max_size=40),
)
def test_budgets_hold_and_what_is_busy_or_pinned_stays_whatever_is_asked(
    budget: Budget, asked: list[tuple[Item, set[int], bool]]
) -> None:
    state, known = Replica(budget), dict[str, Item]()
    for wanted, numbers, tidy in asked:
        known[wanted.digest] = state.items.get(wanted.digest, wanted)
        busy = {item(number).digest for number in numbers}
        before = state
        plan = settle(state, known, busy) if tidy else use(state, known[wanted.digest], busy)
        state = plan.state
        check(before, plan, busy)
        if not tidy and not plan.refused:
            assert wanted.digest in state.loaded


def check(before: Replica, plan: Plan, busy: set[str]) -> None:
    """Assert what holds of every plan."""
    state = plan.state
    assert len(state.loaded) <= state.budget.slots
    assert state.bytes_of(state.loaded) <= state.budget.gpu_bytes
    assert state.bytes_of(state.warm) <= state.budget.ram_bytes
    assert not state.warm & state.loaded.keys()
    assert state.items.keys() == state.warm | state.loaded.keys()
    gone = before.loaded.keys() - state.loaded.keys()
    assert not gone & busy
    assert not [digest for digest in gone if before.items[digest].tier == "gpu" and before.items[digest].pin]
    loads = {move.digest for move in plan.moves if move.action == "load"}
    unloads = {move.digest for move in plan.moves if move.action == "unload"}
    assert state.loaded.keys() == (before.loaded.keys() - unloads) | loads
    assert all(move.why for move in plan.moves)
    assert sum(state.loaded.values()) <= max(1, state.budget.slots - 1) or sum(before.loaded.values()) > 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=60))
def test_the_same_requests_give_the_same_moves(asked: list[int]) -> None:
    first, second = replica(), replica()
    for number in asked:
        one, other = use(first, item(number)), use(second, item(number))
        assert one.moves == other.moves
        first, second = one.state, other.state


def test_a_newcomer_takes_the_slot_of_the_one_before_it_until_it_is_used_clearly_more() -> None:
    state = after(replica(), item(1), item(2), item(1), item(2), item(3))
    assert eviction_order(state) == [item(3).digest, item(1).digest, item(2).digest]
    plan = use(state, item(4))
    assert [move.digest for move in plan.moves if move.action == "unload"] == [item(3).digest]
    state = after(plan.state, item(4), item(4), item(4), item(4))
    assert state.loaded[item(4).digest], "used five times, it has a place of its own"
    assert eviction_order(state)[0] == item(1).digest


def test_priority_goes_before_use_and_a_pin_on_the_gpu_before_both() -> None:
    low, high, pinned = item(1, priority=-1), item(2, priority=1), item(3, tier="gpu", pin=True)
    state = after(replica(), pinned, high, low, low, low, low)
    assert eviction_order(state) == [low.digest, high.digest]
    state = after(state, item(4), item(5), item(6))
    assert {pinned.digest, high.digest} < state.loaded.keys()


def test_what_cannot_be_placed_is_refused_with_the_reason_and_nothing_is_unloaded_for_it() -> None:
    state = after(replica(slots=2, gpu_bytes=100), item(1, 50), item(2, 50))
    assert "gpu_bytes is 100" in use(state, item(3, 101)).refused
    busy = {item(1).digest, item(2).digest}
    plan = use(state, item(3), busy)
    assert "busy or pinned" in plan.refused
    assert (plan.moves, plan.state.loaded) == ((), state.loaded)
    # One of the two could go, but that would not be enough.
    plan = use(state, item(3, 80), {item(1).digest})
    assert plan.refused
    assert plan.state.loaded == state.loaded


def test_settling_brings_what_is_pinned_fills_what_is_free_and_takes_out_what_serves_no_longer() -> None:
    core, ram = item(1, tier="gpu", pin=True), item(2, tier="ram")
    state = after(replica(slots=2), item(8), item(9))
    items = {each.digest: each for each in (core, ram, item(8), item(3))}
    plan = settle(state, items)
    assert core.digest in plan.state.loaded
    assert item(9).digest not in plan.state.loaded
    assert ram.digest in plan.state.warm
    assert settle(plan.state, items).moves == (), "what is settled stays so"
    whys = {move.why for move in plan.moves}
    assert {"it serves no longer", "it is pinned to the gpu", "its tier is ram"} <= whys


def test_what_is_unloaded_waits_in_memory_as_far_as_there_is_room() -> None:
    state = after(replica(slots=1, ram_bytes=20), item(1), item(2), item(3))
    assert state.warm == {item(1).digest, item(2).digest}
    state = after(state, item(4))
    assert len(state.warm) == 2
    assert item(3).digest in state.warm


def test_a_replica_that_is_met_again_keeps_what_it_has() -> None:
    state = recovered(replica(), [item(1), item(2), item(3)])
    assert sorted(state.loaded.values()) == [False, True, True]
    assert settle(state, {each.digest: each for each in (item(1), item(2), item(3))}).moves == ()


def test_why_says_where_an_adapter_is_what_keeps_it_and_when_it_goes() -> None:
    state = after(replica(), item(1), item(2), item(1), item(2), item(3))
    found = why(state, item(3).digest)
    assert (found.where, found.proven, found.goes_after) == ("gpu", False, 0)
    assert "a3@1.0.0 is loaded; when room is needed it goes first (priority 0, on probation, used 1.0" in found.text
    assert why(state, item(2).digest).goes_after == 2
    assert "stays: it has requests under way" in why(state, item(3).digest, {item(3).digest}).text
    state = after(state, item(4))
    found = why(state, item(3).digest)
    assert (found.where, found.goes_after) == ("ram", None)
    assert "its files wait in memory" in found.text
    assert why(state, "f" * 64).where == "disk"


def test_200_adapters_on_8_slots_under_a_zipf_load_meet_no_error_and_more_hits_than_the_least_recently_used() -> None:
    items = [item(number, 50) for number in range(200)]
    ours = simulate(Planner(8, items), zipf(200, 1.0), 4000, COSTS)
    theirs = simulate(Lru(8, items), zipf(200, 1.0), 4000, COSTS)
    assert (ours.errors, theirs.errors) == (0, 0)
    assert ours.hits > theirs.hits + 0.05
    assert ours.at(0.95) <= 0.5


@pytest.mark.parametrize("more", [1, 2])
def test_a_working_set_that_passes_the_slots_by_one_or_two_is_no_cliff(more: int) -> None:
    items = [item(number, 50) for number in range(8 + more)]
    ours = simulate(Planner(8, items), cycle(range(8 + more)), 3000, QUIET)
    theirs = simulate(Lru(8, items), cycle(range(8 + more)), 3000, QUIET)
    assert theirs.hits == 0, "the cliff is there for the least recently used"
    assert ours.hits > 0.65


def test_favourites_that_change_are_followed() -> None:
    items = [item(number, 50) for number in range(200)]
    found = simulate(Planner(8, items), shifting(200, 1.2, 2000), 8000, QUIET)
    still = simulate(Planner(8, items), zipf(200, 1.2), 8000, QUIET)
    assert found.hits > still.hits - 0.08


def test_what_is_hardly_used_is_forgotten_in_the_end() -> None:
    state, chance = replica(), random.Random(1)
    for number in islice(cycle(range(6000)), 6000):
        state = use(state, item(number + chance.randrange(2))).state
    assert len(state.uses) <= 4097
