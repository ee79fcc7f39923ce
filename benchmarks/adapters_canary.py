"""How often a canary that is no worse is rolled back, and how soon one that is worse is.

    python -m benchmarks.adapters_canary

A simulation of `concilium.adapters.canary.sequential`: contexts are drawn into the canary, each may have something bad,
and the test is looked at after every one of them.
"""

import argparse
import math
import random
from dataclasses import dataclass
from statistics import median

from concilium.adapters.canary.sequential import MEASURES, evidence
from concilium.contracts.adapter_life import CanaryTerms


@dataclass
class Traffic:
    """The part of the contexts with something bad, under each arm."""

    live: float
    canary: float


@dataclass
class Found:
    """What came of many runs."""

    alarms: float
    """Part of the runs that ended in a rollback."""
    median_seen: float
    """Contexts of the canary seen until then; NaN: there was none."""


def run(traffic: Traffic, terms: CanaryTerms, contexts: int, runs: int, seed: int) -> Found:
    """Return how often and how soon the test of one measure ends a canary.

    Only bad contexts change the evidence, so the good ones between them are jumped over.
    """
    chance, seen = random.Random(seed), list[int]()
    needed = len(MEASURES) / terms.alpha
    bad = terms.share * traffic.canary + (1 - terms.share) * traffic.live
    is_canary = terms.share * traffic.canary / bad
    known: dict[tuple[int, int], bool] = {}
    for _ in range(runs):
        at, counts = 0, (0, 0)
        while True:
            at += 1 + int(math.log(1 - chance.random()) / math.log(1 - bad))
            if at > contexts:
                break
            drawn = chance.random() < is_canary
            counts = counts[0] + drawn, counts[1] + (not drawn)
            if counts not in known:
                known[counts] = evidence(*counts, terms) >= needed
            if known[counts]:
                seen.append(round(at * terms.share))
                break
    return Found(len(seen) / runs, median(seen) if seen else math.nan)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--contexts", type=int, default=20000)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--alpha", type=float, default=0.01)
    options = parser.parse_args()
    terms = CanaryTerms(share=options.share, alpha=options.alpha, slow_s=1)
    print(f"{options.runs} runs of up to {options.contexts} contexts, {terms.share:.0%} to the canary, ", end="")
    print(f"alpha {terms.alpha}, tolerance {terms.tolerance}; looked at after every context\n")
    print(f"{'bad, live':>10} {'bad, canary':>12} {'rolled back':>12} {'canary contexts until then':>27}")
    for seed, live in enumerate((0.01, 0.05, 0.2)):
        for ratio in (1.0, 1.25, 1.5, 2.0, 3.0, 5.0):
            if live * ratio <= 1:
                found = run(Traffic(live, live * ratio), terms, options.contexts, options.runs, seed)
                print(f"{live:>10.1%} {live * ratio:>12.2%} {found.alarms:>12.2%} {found.median_seen:>27.0f}")


if __name__ == "__main__":
    main()
