"""What placement knows of one replica. Plain values: the planner takes them and gives new ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from concilium.contracts.adapter_terms import Tier


@dataclass(frozen=True)
class Item:
    """An adapter that may be placed."""

    digest: str
    name: str
    """For people: ``sport@1.2.0``."""
    bytes: int
    tier: Tier = "disk"
    pin: bool = False
    priority: int = 0


@dataclass(frozen=True)
class Budget:
    """What a replica has room for."""

    slots: int
    gpu_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Use:
    """How often an adapter is used: a count that halves every so many requests of the replica."""

    count: float = 0.0
    tick: int = 0
    """Of the last use."""

    def at(self, tick: int, half_life: int) -> float:
        """Return the count as it has decayed until then."""
        return self.count * math.exp2((self.tick - tick) / half_life)


Action = Literal["load", "unload", "warm", "cool"]
"""``load``: into the engine; ``unload``: out of it; ``warm``: its files into memory; ``cool``: no longer there."""
USES_MAX = 4096
"""Adapters whose uses are remembered; above, those hardly used are forgotten."""


@dataclass(frozen=True)
class Move:
    """One thing to do, and why."""

    action: Action
    digest: str
    why: str


@dataclass(frozen=True)
class Replica:
    """What is placed on a replica, and how it has been used.

    Attributes:
        loaded: adapters in the engine; True: proven by use, False: on probation and first to go.
        warm: adapters whose files are in memory besides.
        items: every adapter that is loaded or warm.
        uses: how often each was used.
        tick: requests so far.
    """

    budget: Budget
    loaded: Mapping[str, bool] = field(default_factory=dict)
    warm: frozenset[str] = frozenset()
    items: Mapping[str, Item] = field(default_factory=dict)
    uses: Mapping[str, Use] = field(default_factory=dict)
    tick: int = 0

    @property
    def half_life(self) -> int:
        """Requests after which a use counts half."""
        return 32 * self.budget.slots

    def count(self, digest: str) -> float:
        """Return how often an adapter was used, lately."""
        return self.uses.get(digest, Use()).at(self.tick, self.half_life)

    def used(self, item: Item) -> "Replica":
        """Return the state after one more request for an adapter."""
        tick = self.tick + 1
        count = self.uses.get(item.digest, Use()).at(tick, self.half_life) + 1
        uses = {**self.uses, item.digest: Use(count, tick)}
        if len(uses) > USES_MAX:
            uses = {digest: each for digest, each in uses.items() if each.at(tick, self.half_life) > 0.5}
        return replace(self, tick=tick, uses=uses)

    def bytes_of(self, digests: Mapping[str, bool] | frozenset[str]) -> int:
        """Return the bytes of adapters that are placed."""
        return sum(self.items[digest].bytes for digest in digests)
