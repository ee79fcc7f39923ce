"""What is asked of the mesh meanwhile: jobs that follow from the seed alone.

A job's text is its plan as a JSON list of steps, which the engine of `chaos.planner` reads back; a plain job's is a
sentence that the skill router is sure of.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chaos.schedule import Fault, Kind

Step = dict[str, Any]
BURST = 8
BURST_BEFORE_S = 0.4


@dataclass(frozen=True)
class Job:
    """One request."""

    number: int
    at_s: float
    """When it is submitted, seconds after the start."""
    steps: tuple[Step, ...]
    priority: str = "normal"
    deadline_s: float = 300.0
    cancel_after_s: float | None = None
    """Canceled so long after it was accepted."""
    plain: bool = False
    """Planned by the skill router, in the submitting transaction."""

    @property
    def text(self) -> str:
        return f'echo "job {self.number} a"' if self.plain else json.dumps(self.steps)


def make_jobs(seed: int, count: int, over_s: float, faults: Sequence[Fault]) -> tuple[Job, ...]:
    """Return the jobs of a seed in order of time: random ones, and bursts before faults that need work under way."""
    rng = random.Random(seed * 7919 + 1)
    moments = [(f.at_s - BURST_BEFORE_S, f.kind) for f in faults if f.kind in {Kind.LATE, Kind.DISK_FULL}]
    bursts = [moment for moment in moments for _ in range(BURST)][: count // 2]
    jobs = [_burst(rng, number, *moment) for number, moment in enumerate(bursts)]
    jobs += [_random(rng, number, rng.uniform(0.0, over_s)) for number in range(len(bursts), count)]
    return tuple(sorted(jobs, key=lambda job: job.at_s))


def _burst(rng: random.Random, number: int, at_s: float, kind: Kind) -> Job:
    """Return work that ends while its runner's network stands still, or whose file finds no room on the disk."""
    sleep_s = round(rng.uniform(0.5, 1.2), 2)
    step = (
        _echo(number, "a", sleep_s=sleep_s)
        if kind is Kind.LATE
        else _step(number, "a", "", "scribe.write", size=400_000, sleep_s=sleep_s)
    )
    return Job(number, at_s, (step,), priority="high")


def _random(rng: random.Random, number: int, at_s: float) -> Job:
    shape = rng.choices(("plain", "one", "chain", "diamond", "flaky", "broken", "hasty"), (12, 18, 28, 20, 10, 5, 7))[0]
    steps = _steps(rng, number, shape)
    return Job(
        number,
        round(at_s, 2),
        steps,
        priority=rng.choice(("high", "normal", "normal", "low")),
        deadline_s=8.0 if shape == "hasty" else 300.0,
        cancel_after_s=round(rng.uniform(0.1, 2.0), 2) if rng.random() < 0.12 else None,
        plain=shape == "plain",
    )


def _steps(rng: random.Random, number: int, shape: str) -> tuple[Step, ...]:
    if shape == "plain":
        return (_echo(number, "a"),)
    if shape == "one":
        return (_any(rng, number, "a"),)
    if shape == "chain":
        names = "abcdef"[: rng.randint(3, 6)]
        return tuple(_any(rng, number, name, after=names[max(0, i - 1) : i]) for i, name in enumerate(names))
    if shape == "diamond":
        middle = "bcde"[: rng.randint(2, 4)]
        first, last = _any(rng, number, "a"), _any(rng, number, "z", after=middle)
        # What the last step is asked is what the second one says.
        last["input"]["text"] = {"$ref": "#/steps/b/output/text"}
        return (first, *(_any(rng, number, name, after="a") for name in middle), last)
    if shape == "flaky":
        return _echo(number, "a", fail_times=1), _any(rng, number, "b", after="a")
    if shape == "broken":
        return _any(rng, number, "a"), _echo(number, "b", fail=True)
    return (_echo(number, "a", sleep_s=round(rng.uniform(0.5, 12.0), 1)),)


def _any(rng: random.Random, number: int, name: str, after: str = "") -> Step:
    sleep_s = round(rng.choice((0.0, rng.uniform(0.1, 0.8), rng.uniform(0.1, 2.5))), 2)
    if rng.random() < 0.25:
        size = rng.choice((1000, 1000, 60_000, 400_000))
        return _step(number, name, after, "scribe.write", size=size, sleep_s=sleep_s)
    return _step(number, name, after, "noop.echo", sleep_s=sleep_s)


def _echo(number: int, name: str, after: str = "", **data: Any) -> Step:
    return _step(number, name, after, "noop.echo", **data)


def _step(number: int, name: str, after: str, skill: str, **data: Any) -> Step:
    return {"name": name, "skill": skill, "input": {"text": f"job {number} {name}", **data}, "after": list(after)}
