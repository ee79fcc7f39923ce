"""How often an adapter that is asked for is loaded already, by policy and by traffic, and what its callers wait.

    python -m benchmarks.adapters_placement

A simulation: requests arrive at random, one replica with 8 slots answers them, an adapter that is not loaded is loaded
first (0.4 s from the disk, 0.1 s from memory; assumed, see --load-s and --warm-s), and nothing is unloaded that still
answers. The planner is the one that places adapters; least-recently-used is beside it for comparison.
"""

import argparse
import heapq
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, cycle

from concilium.adapters.place.planner import use
from concilium.adapters.place.state import Budget, Item, Replica

MB = 1 << 20


@dataclass
class Costs:
    """Seconds."""

    load_s: float
    warm_s: float
    answer_s: float
    """How long an answer keeps its adapter busy."""
    apart_s: float
    """Between two requests, on average."""


@dataclass
class Result:
    """What a policy did with some traffic."""

    hits: float
    waits: list[float]
    errors: int

    def at(self, part: float) -> float:
        """Return a quantile of the waits, in seconds."""
        return sorted(self.waits)[int(part * (len(self.waits) - 1))]


class Planner:
    """The planner of `concilium.adapters.place`."""

    def __init__(self, slots: int, items: list[Item]) -> None:
        total = sum(item.bytes for item in items)
        self.items = items
        self.state = Replica(Budget(slots, slots * items[0].bytes, total // 4))

    def ask(self, which: int, busy: set[str]) -> str:
        """Return ``hit``, ``warm``, ``cold`` or ``wait``."""
        item = self.items[which]
        before = self.state
        plan = use(before, item, busy)
        if plan.refused:
            return "wait"
        self.state = plan.state
        if item.digest in before.loaded:
            return "hit"
        return "warm" if item.digest in before.warm else "cold"


class Lru:
    """Least recently used."""

    def __init__(self, slots: int, items: list[Item]) -> None:
        self.slots, self.items = slots, items
        self.loaded: OrderedDict[str, None] = OrderedDict()
        self.warm: OrderedDict[str, None] = OrderedDict()

    def ask(self, which: int, busy: set[str]) -> str:
        """As `Planner.ask`."""
        digest = self.items[which].digest
        if digest in self.loaded:
            self.loaded.move_to_end(digest)
            return "hit"
        if len(self.loaded) >= self.slots:
            gone = next((old for old in self.loaded if old not in busy), None)
            if gone is None:
                return "wait"
            del self.loaded[gone]
            self.warm[gone] = None
            if len(self.warm) > len(self.items) // 4:
                self.warm.popitem(last=False)
        found = "warm" if digest in self.warm else "cold"
        self.warm.pop(digest, None)
        self.loaded[digest] = None
        return found


def simulate(policy: Planner | Lru, traffic: Iterator[int], requests: int, costs: Costs, seed: int = 1) -> Result:
    """Return what a policy does with the requests after a first fifth that only warms it up."""
    chance = random.Random(seed)
    ends: list[tuple[float, str]] = []
    ready: dict[str, float] = {}
    now, hits, errors, waits = 0.0, 0, 0, list[float]()
    for number in range(requests):
        now += chance.expovariate(1 / costs.apart_s)
        which = next(traffic)
        digest, begun = policy.items[which].digest, now
        while True:
            while ends and ends[0][0] <= begun:
                heapq.heappop(ends)
            found = policy.ask(which, {name for _, name in ends})
            if found != "wait":
                break
            if not ends:
                errors += 1
                break
            begun = ends[0][0]
        if found in {"warm", "cold"}:
            ready[digest] = begun + (costs.warm_s if found == "warm" else costs.load_s)
        start = max(begun, ready.get(digest, 0.0))
        heapq.heappush(ends, (start + chance.expovariate(1 / costs.answer_s), digest))
        if number >= requests // 5:
            hits += found == "hit" and begun == now
            waits.append(start - now)
    return Result(hits / len(waits), waits, errors)


def zipf(count: int, power: float, seed: int = 2) -> Iterator[int]:
    """Yield adapters with the popularity of Zipf's law."""
    chance = random.Random(seed)
    sums = list(accumulate(1 / rank**power for rank in range(1, count + 1)))
    while True:
        yield chance.choices(range(count), cum_weights=sums)[0]


def shifting(count: int, power: float, every: int) -> Iterator[int]:
    """Yield as `zipf`, with other favourites every so many requests."""
    for number, which in enumerate(zipf(count, power)):
        yield (which + 37 * (number // every)) % count


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--load-s", type=float, default=0.4)
    parser.add_argument("--warm-s", type=float, default=0.1)
    options = parser.parse_args()
    costs = Costs(options.load_s, options.warm_s, answer_s=1.0, apart_s=0.5)
    slots = options.slots
    traffics: dict[str, tuple[int, Callable[[], Iterator[int]]]] = {
        "Zipf 1.0, 200 adapters": (200, lambda: zipf(200, 1.0)),
        "Zipf 1.2, 200 adapters": (200, lambda: zipf(200, 1.2)),
        "Zipf 1.0, favourites change every 4000": (200, lambda: shifting(200, 1.0, 4000)),
    }
    for more in (0, 1, 2, slots):
        traffics[f"{slots + more} in turn"] = slots + more, lambda count=slots + more: cycle(range(count))  # type: ignore[misc]
    print(f"{options.requests} requests, {slots} slots, load {options.load_s} s, from memory {options.warm_s} s\n")
    print(f"{'traffic':<40} {'policy':<8} {'hits':>6} {'p50 wait':>9} {'p95 wait':>9} {'errors':>7}")
    for name, (count, traffic) in traffics.items():
        items = [Item(f"{number:064x}", f"a{number}@1.0.0", 50 * MB) for number in range(count)]
        for label, policy in (("planner", Planner(slots, items)), ("LRU", Lru(slots, items))):
            found = simulate(policy, traffic(), options.requests, costs)
            waits = f"{found.at(0.5):>8.2f}s {found.at(0.95):>8.2f}s"
            print(f"{name:<40} {label:<8} {found.hits:>6.1%} {waits} {found.errors:>7}")


if __name__ == "__main__":
    main()
