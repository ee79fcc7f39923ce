"""The planner: a state and a request in, a state and moves out. No clock, no I/O, no chance.

Least-recently-used alone has a cliff: nine adapters in turn on eight slots never hit. So newcomers are on probation in
one slot, and take the place of a proven one only when they were used clearly more often lately; until then the next
newcomer takes theirs. That is the idea of W-TinyLFU (Einziger, Friedman and Manes, "TinyLFU", arXiv:1512.00727), for a
cache that cannot refuse a newcomer, because an engine answers only for what is loaded, and with a margin, so that
equals do not displace each other in turn.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from concilium.adapters.place.state import Item, Move, Replica

MARGIN_TIMES, MARGIN_USES = 1.1, 1.0
"""How much more often than a proven one a newcomer must have been used to take its place."""


@dataclass(frozen=True)
class Plan:
    """What to do, in order.

    Attributes:
        state: the replica's once it is done.
        moves: unloads before the load that needs the room.
        refused: why the adapter cannot be loaded now; empty: it is, or will be.
    """

    state: Replica
    moves: tuple[Move, ...] = ()
    refused: str = ""


def use(state: Replica, item: Item, busy: Collection[str] = ()) -> Plan:
    """Return the plan for a request for an adapter.

    Args:
        state: of the replica.
        item: what is asked for.
        busy: adapters with requests under way, which are not unloaded.
    """
    state = state.used(item)
    if item.digest in state.loaded:
        return Plan(_judged(_known(state, item), item.digest))
    plan = _load(state, item, busy, "a request asks for it")
    return plan if plan.refused else replace(plan, state=_judged(plan.state, item.digest))


def settle(state: Replica, items: Mapping[str, Item], busy: Collection[str] = ()) -> Plan:
    """Return the plan that brings a replica to what is configured, between requests.

    What is no longer among the items is unloaded, what is pinned to the ``gpu`` or kept in ``ram`` is brought there,
    and free slots are filled with what is likeliest to be asked for.
    """
    moves, refused = list[Move](), list[str]()
    for digest in sorted(state.loaded):
        if digest not in items and digest not in busy:
            state = _without(state, digest)
            moves.append(Move("unload", digest, "it serves no longer"))
    state = replace(state, warm=state.warm & items.keys())
    for digest in state.loaded:
        state = _known(state, items.get(digest, state.items[digest]))
    for item in sorted(items.values(), key=lambda found: _keep_order(state, found)):
        if item.digest in state.loaded:
            continue
        if item.tier == "gpu" and item.pin:
            plan = _load(state, item, busy, "it is pinned to the gpu")
            refused += [plan.refused] * bool(plan.refused)
        elif _fits(state, item):
            plan = _load(state, item, busy, "a slot is free")
        elif item.tier == "ram" and item.digest not in state.warm:
            plan = _warm(state, item, "its tier is ram")
        else:
            continue
        state = plan.state
        moves += plan.moves
    return Plan(state, tuple(moves), "; ".join(refused))


def eviction_order(state: Replica, busy: Collection[str] = ()) -> list[str]:
    """Return what would be unloaded, first to last. What is pinned to the ``gpu`` or busy is not among them."""
    return sorted((digest for digest in state.loaded if _may_go(state, digest, busy)), key=lambda d: _order(state, d))


def _order(state: Replica, digest: str) -> tuple[int, bool, bool, float, int, str]:
    item = state.items[digest]
    last = state.uses[digest].tick if digest in state.uses else 0
    proven = state.loaded.get(digest, False)
    return item.priority, item.tier == "gpu", proven, round(state.count(digest), 9), last, digest


def _keep_order(state: Replica, item: Item) -> tuple[bool, int, float, str]:
    return item.tier != "gpu", -item.priority, -round(state.count(item.digest), 9), item.digest


def _may_go(state: Replica, digest: str, busy: Collection[str]) -> bool:
    item = state.items[digest]
    return digest not in busy and not (item.tier == "gpu" and item.pin)


def _fits(state: Replica, item: Item) -> bool:
    room = state.budget.gpu_bytes - state.bytes_of(state.loaded)
    return len(state.loaded) < state.budget.slots and item.bytes <= room


def _load(state: Replica, item: Item, busy: Collection[str], why: str) -> Plan:
    """Make room and load; nothing is unloaded when that would not be enough."""
    before, moves = state, list[Move]()
    if item.bytes > state.budget.gpu_bytes:
        return Plan(before, refused=f"{item.name} has {item.bytes} bytes, gpu_bytes is {state.budget.gpu_bytes}")
    for digest in eviction_order(state, busy):
        if _fits(state, item):
            break
        moves.append(Move("unload", digest, _why_gone(state, digest, item)))
        state = _without(state, digest)
        state, cooled = _kept_warm(state, before.items[digest])
        moves += cooled
    if not _fits(state, item):
        return Plan(before, refused=f"no room for {item.name}: every loaded adapter is busy or pinned")
    state = replace(
        state,
        loaded={**state.loaded, item.digest: False},
        warm=state.warm - {item.digest},
        items={**state.items, item.digest: item},
    )
    return Plan(state, (*moves, Move("load", item.digest, why)))


def _why_gone(state: Replica, digest: str, item: Item) -> str:
    mine = state.items[digest]
    kind = "proven" if state.loaded[digest] else "on probation"
    return (
        f"room for {item.name}: {mine.name} goes first of those that may (priority {mine.priority}, {kind}, "
        f"used {state.count(digest):.1f} times lately)"
    )


def _judged(state: Replica, digest: str) -> Replica:
    """Return the state with one that was just used taken off probation, if it has deserved it."""
    if state.loaded[digest]:
        return state
    proven = [other for other, is_proven in state.loaded.items() if is_proven]
    if len(proven) < max(1, state.budget.slots - 1):
        return replace(state, loaded={**state.loaded, digest: True})
    rivals = [other for other in proven if _may_go(state, other, ())]
    weakest = min(rivals, key=lambda other: _order(state, other), default=None)
    if weakest is None or not _deserves(state, digest, weakest):
        return state
    return replace(state, loaded={**state.loaded, digest: True, weakest: False})


def _deserves(state: Replica, digest: str, weakest: str) -> bool:
    mine, its = state.items[digest].priority, state.items[weakest].priority
    clearly = state.count(digest) > MARGIN_TIMES * state.count(weakest) + MARGIN_USES
    return mine > its or (mine == its and clearly)


def _kept_warm(state: Replica, item: Item) -> tuple[Replica, list[Move]]:
    """Keep the files of what was unloaded in memory, as far as there is room."""
    plan = _warm(state, item, "it was unloaded")
    return plan.state, [move for move in plan.moves if move.action == "cool"]


def _warm(state: Replica, item: Item, why: str) -> Plan:
    room = state.budget.ram_bytes
    if item.bytes > room:
        return Plan(_forgotten(state, {item.digest}), refused=f"{item.name} is larger than ram_bytes")
    state = replace(state, warm=state.warm | {item.digest}, items={**state.items, item.digest: item})
    moves = [Move("warm", item.digest, why)]
    order = sorted(state.warm - {item.digest}, key=lambda d: (state.items[d].tier == "ram", *_order(state, d)))
    for digest in order:
        if state.bytes_of(state.warm) <= room:
            break
        if state.items[digest].tier == "ram" and state.items[digest].pin:
            continue
        moves.append(Move("cool", digest, f"memory for {item.name}"))
        state = replace(state, warm=state.warm - {digest})
        state = _forgotten(state, {digest})
    if state.bytes_of(state.warm) > room:  # the rest is pinned
        return Plan(_forgotten(replace(state, warm=state.warm - {item.digest}), {item.digest}), tuple(moves[1:]))
    return Plan(state, tuple(moves))


def _known(state: Replica, item: Item) -> Replica:
    """Return the state with what is configured for an adapter now."""
    return state if state.items.get(item.digest) == item else replace(state, items={**state.items, item.digest: item})


def _without(state: Replica, digest: str) -> Replica:
    loaded = {other: proven for other, proven in state.loaded.items() if other != digest}
    return _forgotten(replace(state, loaded=loaded), {digest})


def _forgotten(state: Replica, digests: Collection[str]) -> Replica:
    """Return the state without items that are placed nowhere."""
    gone = [digest for digest in digests if digest not in state.loaded and digest not in state.warm]
    return replace(state, items={digest: item for digest, item in state.items.items() if digest not in gone})


def recovered(state: Replica, found: Sequence[Item]) -> Replica:
    """Return the state of a replica whose engine says what it has: what is there is as good as proven."""
    room = max(1, state.budget.slots - 1)
    order = sorted(found, key=lambda item: _keep_order(state, item))
    loaded = {item.digest: at < room for at, item in enumerate(order)}
    items = {digest: item for digest, item in state.items.items() if digest in state.warm}
    return replace(state, loaded=loaded, items={**items, **{item.digest: item for item in found}},
                   warm=state.warm - loaded.keys())  # fmt: skip
