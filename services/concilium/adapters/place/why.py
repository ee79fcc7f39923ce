"""Why an adapter is where it is on a replica, for people and for programs."""

from collections.abc import Collection
from dataclasses import dataclass

from concilium.adapters.place.planner import MARGIN_TIMES, MARGIN_USES, eviction_order
from concilium.adapters.place.state import Replica


@dataclass(frozen=True)
class Placed:
    """Where an adapter is and what keeps it there.

    Attributes:
        where: ``gpu``, ``ram`` or ``disk``.
        goes_after: how many others would be unloaded before it; None: it is not loaded, or it stays.
        count: how often it was used, lately.
        text: all of it in a sentence.
    """

    where: str
    proven: bool
    goes_after: int | None
    count: float
    text: str


def why(state: Replica, digest: str, busy: Collection[str] = ()) -> Placed:
    """Return where an adapter is and why."""
    count = state.count(digest)
    if digest not in state.loaded:
        return _not_loaded(state, digest, count)
    order, item = eviction_order(state, busy), state.items[digest]
    proven = state.loaded[digest]
    facts = f"priority {item.priority}, {'proven' if proven else 'on probation'}, used {count:.1f} times lately"
    if digest not in order:
        reason = "it has requests under way" if digest in busy else "its tier is gpu and it is pinned"
        return Placed("gpu", proven, None, count, f"{item.name} is loaded and stays: {reason} ({facts})")
    at = order.index(digest)
    turn = "goes first" if at == 0 else f"goes after {at} other{'s' if at > 1 else ''}"
    return Placed("gpu", proven, at, count, f"{item.name} is loaded; when room is needed it {turn} ({facts})")


def _not_loaded(state: Replica, digest: str, count: float) -> Placed:
    where = "ram" if digest in state.warm else "disk"
    name = state.items[digest].name if digest in state.items else digest[:12]
    lies = "its files wait in memory" if where == "ram" else "it lies on the disk"
    proven = [other for other, is_proven in state.loaded.items() if is_proven]
    weakest = min((state.count(other) for other in proven), default=0.0)
    text = (
        f"{name} is not loaded: {lies}. It was used {count:.1f} times lately; a request loads it, and it keeps its "
        f"slot once it was used more than {MARGIN_TIMES * weakest + MARGIN_USES:.1f} times"
    )
    return Placed(where, False, None, count, text)
