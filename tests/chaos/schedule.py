"""What goes wrong and when: a list of faults that follows from the seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is done to a process."""

    KILL = "kill"
    """``kill -9``; started again after the pause."""
    FREEZE = "freeze"
    """SIGSTOP past the lease, then SIGCONT."""
    LATE = "late"
    """The runner's network and the agents stand still past the lease; then what was on its way arrives first."""
    PAUSE = "pause"
    """Redis answers nobody for a while (CLIENT PAUSE)."""
    RESTART_WITH_DATA = "restart with data"
    RESTART_WITHOUT_DATA = "restart without data"
    DISK_FULL = "disk full"
    """Not a byte is left on the ledger's disk for a while."""


@dataclass(frozen=True)
class Fault:
    """One fault: when (seconds after the start), what, to whom, and for how long (seconds)."""

    at_s: float
    kind: Kind
    target: str
    for_s: float

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.kind} {self.target} for {self.for_s:.1f} s"


CALM_S = 3.0
"""Nothing goes wrong at the very start."""
GAP_S = (0.8, 2.4)
"""Between two faults; they may overlap on different targets."""
SUPERVISED_GAP_S = (3.0, 6.0)
"""A supervisor waits longer before each restart of a process that keeps ending; faults leave it the time."""
LATE_S = 4.0
"""From the end of a lease until another runner has surely been granted the step: a sweep, the ledger's pause before a
lost step is ready again, another sweep that rings, the claim."""


def make_schedule(
    seed: int,
    length_s: float,
    lease_ttl_s: float,
    *,
    controls: Sequence[str],
    runners: Sequence[str],
    agents: Sequence[str],
    disk: bool,
    supervisor: str = "",
) -> tuple[Fault, ...]:
    """Return the faults of a seed: every kind on every target once, in random order, then at random.

    Under a supervisor there are no networks to stand still, and Redis comes back without its data, as it is set up.
    """
    rng = random.Random(seed)
    wanted = [(Kind.KILL, name) for name in (*controls, *runners, *agents)]
    wanted += [(Kind.FREEZE, name) for name in (*controls, *runners, *agents, "redis")]
    wanted += [(Kind.PAUSE, "redis"), (Kind.RESTART_WITHOUT_DATA, "redis")]
    if supervisor:
        wanted += [(Kind.KILL, supervisor)]
    else:
        wanted += [(Kind.RESTART_WITH_DATA, "redis"), *((Kind.LATE, name) for name in runners)]
    wanted += [(Kind.DISK_FULL, "disk")] if disk else []
    first = _one_of_each_first(rng.sample(wanted, len(wanted)))
    faults: list[Fault] = []
    at_s = CALM_S
    while at_s < length_s:
        kind, target = first.pop(0) if first else rng.choice(wanted)
        faults.append(Fault(round(at_s, 2), kind, target, round(_duration(rng, kind, lease_ttl_s), 2)))
        # Late completions take a while to come about; nothing else comes in between.
        at_s += rng.uniform(*(SUPERVISED_GAP_S if supervisor else GAP_S)) + (
            faults[-1].for_s if kind is Kind.LATE else 0.0
        )
    return tuple(faults)


def _one_of_each_first(faults: list[tuple[Kind, str]]) -> list[tuple[Kind, str]]:
    """Return the faults with one of each kind before the others, so that a short run leaves no kind out.

    A late completion is the very first: the proof without fences needs it. What befalls a control plane counts as a
    kind of its own.
    """
    firsts = {(kind, "control" in target): faults.index((kind, target)) for kind, target in reversed(faults)}
    heads = sorted(firsts.values(), key=lambda index: (faults[index][0] is not Kind.LATE, index))
    return [faults[index] for index in heads] + [fault for n, fault in enumerate(faults) if n not in heads]


def _duration(rng: random.Random, kind: Kind, ttl_s: float) -> float:
    if kind is Kind.LATE:
        return ttl_s + LATE_S + rng.uniform(0.0, 1.0)
    if kind is Kind.FREEZE:
        return ttl_s + rng.uniform(0.5, 2.0)
    if kind is Kind.DISK_FULL:
        return rng.uniform(3.0, 5.0)
    if kind is Kind.PAUSE:
        return rng.uniform(1.0, 3.0)
    return rng.uniform(0.1, 1.5)
