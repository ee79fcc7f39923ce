"""When a canary is a regression: a test that may be looked at after every answer.

Each *bad* context (one with an error, a slow or a poor answer) was drawn into the canary with a known chance: when the
canary is no worse, that is its share of the traffic, whatever goes wrong for both alike. So only the bad contexts are
looked at, as a coin whose bias is known: an outage of the engine, which hits both arms, says nothing of the canary.

The evidence is the likelihood of the counts under a mixture of regressions over their likelihood at the edge of what is
tolerated (Robbins 1970, "Statistical methods related to the law of the iterated logarithm"; used for A/B tests by
Johari, Pekelis and Walsh, "Always valid inference", arXiv:1512.04922). It is a supermartingale as long as the canary is
no worse, so the chance that it *ever* reaches ``1 / alpha`` is at most ``alpha`` (Ville 1939): exactly, for any number
of looks, without an approximation for large numbers. The alpha is divided among the measures (Bonferroni).
"""

import math
from typing import Final, get_args

from concilium.contracts.adapter_life import CanaryTerms, Counts, Judgement, Measure
from concilium.contracts.adapters import Verdict

RATIOS: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Regressions of the mixture, equally likely: how many times as often as tolerated bad things happen."""
MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)


def canary_odds(share: float, ratio: float) -> float:
    """Return the chance that a bad context is the canary's, when they are ``ratio`` times as frequent there."""
    return share * ratio / (share * ratio + 1 - share)


def evidence(canary: int, live: int, terms: CanaryTerms) -> float:
    """Return how many times likelier the counts of bad contexts are under a regression than without one."""
    at_edge = canary_odds(terms.share, terms.tolerance)
    weights = []
    for ratio in RATIOS:
        odds = canary_odds(terms.share, terms.tolerance * ratio)
        weights.append(canary * math.log(odds / at_edge) + live * math.log((1 - odds) / (1 - at_edge)))
    largest = max(weights)
    log_mean = largest + math.log(math.fsum(math.exp(weight - largest) for weight in weights) / len(weights))
    return math.exp(min(log_mean, 700.0))


def judge(counts: Counts, terms: CanaryTerms) -> Judgement:
    """Return FAIL for a regression, PASS when enough was seen without one, else INSUFFICIENT."""
    found = {name: evidence(_bad(counts, name)[0], _bad(counts, name)[1], terms) for name in MEASURES}
    needed = len(MEASURES) / terms.alpha
    worst: Measure = max(MEASURES, key=lambda name: found[name])
    if found[worst] >= needed:
        return Judgement(verdict=Verdict.FAIL, reason=_reason(counts, worst, found[worst], needed), evidence=found)
    seen = counts.canary.seen
    if seen < terms.enough:
        return Judgement(verdict=Verdict.INSUFFICIENT, reason=f"{seen} of {terms.enough} contexts seen", evidence=found)
    reason = f"no regression in {seen} contexts; the evidence for one is {found[worst]:.2g} of {needed:g} ({worst})"
    return Judgement(verdict=Verdict.PASS, reason=reason, evidence=found)


def _bad(counts: Counts, name: Measure) -> tuple[int, int]:
    return getattr(counts.canary, name), getattr(counts.live, name)


def _reason(counts: Counts, name: Measure, found: float, needed: float) -> str:
    canary, live = _bad(counts, name)
    return (
        f"{name}: {canary} of {counts.canary.seen} contexts with the canary, {live} of {counts.live.seen} without; "
        f"that is {found:.3g} times likelier under a regression ({needed:g} are needed)"
    )
