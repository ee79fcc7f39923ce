"""Canaries: the share is stable, the test is right however often it is looked at, and busy callers count once."""

import random

from benchmarks.adapters_canary import Traffic, run
from hypothesis import given
from hypothesis import strategies as st

from concilium.adapters.canary.sequential import evidence, judge
from concilium.adapters.canary.share import gets_canary
from concilium.adapters.canary.watch import Seen, Watch
from concilium.contracts.adapter_life import Canary, CanaryTerms, Counts, Line, Tally
from concilium.contracts.adapters import Verdict
from concilium.contracts.base import utc_now

TERMS = CanaryTerms(share=0.1, slow_s=10, enough=300)


def line(digest: str = "a" * 64, generation: int = 3, **terms: float) -> Line:
    made = TERMS.model_copy(update=terms)
    canary = Canary(digest=digest, terms=made, counts=Counts(), began_at=utc_now())
    return Line(id="sport", generation=generation, live="b" * 64, canary=canary)


def test_the_share_is_that_of_the_terms_and_the_same_contexts_get_it_each_time() -> None:
    contexts = [f"ctx-{number}" for number in range(20000)]
    chosen = {context for context in contexts if gets_canary(line(), context)}
    assert 1850 < len(chosen) < 2150
    assert chosen == {context for context in contexts if gets_canary(line(), context)}
    wider = {context for context in contexts if gets_canary(line(share=0.3), context)}
    assert chosen < wider, "a larger share keeps those who had the canary"
    other = {context for context in contexts if gets_canary(line("c" * 64), context)}
    assert 120 < len(chosen & other) < 300, "the next canary is other contexts' turn"


def test_without_a_canary_nobody_gets_one() -> None:
    assert not gets_canary(Line(id="sport", generation=1, live="b" * 64), "ctx")


def test_a_clear_regression_fails_and_says_what_was_seen() -> None:
    counts = Counts(canary=Tally(seen=100, errors=20), live=Tally(seen=900, errors=9))
    found = judge(counts, TERMS)
    assert found.verdict is Verdict.FAIL
    assert "errors: 20 of 100 contexts with the canary, 9 of 900 without" in found.reason


def test_slow_and_poor_answers_are_regressions_too() -> None:
    for measure in ("slow", "poor"):
        counts = Counts(canary=Tally(seen=100, **{measure: 40}), live=Tally(seen=900, **{measure: 30}))
        assert judge(counts, TERMS).reason.startswith(measure)


def test_too_little_seen_is_insufficient_and_enough_without_a_regression_passes() -> None:
    assert judge(Counts(canary=Tally(seen=299)), TERMS).verdict is Verdict.INSUFFICIENT
    same = Counts(canary=Tally(seen=300, errors=3), live=Tally(seen=2700, errors=27))
    assert judge(same, TERMS).verdict is Verdict.PASS


def test_an_outage_that_hits_both_alike_is_no_regression() -> None:
    chance = random.Random(7)
    counts = Counts()
    for _ in range(3000):
        one = Tally(seen=1, errors=1)
        canary = chance.random() < TERMS.share
        counts = Counts(
            canary=counts.canary.plus(one) if canary else counts.canary,
            live=counts.live if canary else counts.live.plus(one),
        )
        assert judge(counts, TERMS).verdict is not Verdict.FAIL


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.01, 0.5))
def test_the_evidence_is_a_fair_game_at_the_edge_of_what_is_tolerated(canary: int, live: int, share: float) -> None:
    terms = CanaryTerms(share=share, slow_s=1)
    at_edge = share * terms.tolerance / (share * terms.tolerance + 1 - share)
    now = evidence(canary, live, terms)
    then = at_edge * evidence(canary + 1, live, terms) + (1 - at_edge) * evidence(canary, live + 1, terms)
    assert abs(then - now) <= 1e-9 * now
    if now < 1e250:
        below = 0.8 * at_edge
        assert below * evidence(canary + 1, live, terms) + (1 - below) * evidence(canary, live + 1, terms) <= now


def test_simulated_false_alarms_stay_under_alpha_and_regressions_are_found() -> None:
    terms = CanaryTerms(share=0.1, slow_s=1, alpha=0.05)
    calm = run(Traffic(live=0.05, canary=0.05), terms, contexts=4000, runs=300, seed=1)
    assert calm.alarms <= 0.05
    edge = run(Traffic(live=0.05, canary=0.05 * terms.tolerance), terms, contexts=4000, runs=300, seed=2)
    assert edge.alarms <= 0.05 + 0.03, "at the very edge of what is tolerated, with the noise of 300 runs"
    bad = run(Traffic(live=0.02, canary=0.2), terms, contexts=4000, runs=100, seed=3)
    assert bad.alarms >= 0.98
    assert bad.median_seen < 150


def test_a_context_counts_once_for_each_measure_however_busy_it_is() -> None:
    watch, now = Watch(), line(share=0.5)
    for _ in range(50):
        watch.saw(now, Seen("ctx-1", error=True, latency_s=11, score=0.1))
    watch.saw(now, Seen("ctx-2", latency_s=1, score=0.9))
    watch.saw(now, Seen("ctx-2", error=True))
    generation, counts = watch.take()
    both = counts.canary.plus(counts.live)
    assert (generation, both) == (3, Tally(seen=2, errors=2, slow=1, poor=1))
    assert watch.take() == (3, Counts())
    watch.give_back(generation, counts)
    assert watch.take() == (3, counts)


def test_answers_of_an_earlier_canary_do_not_count_for_the_next() -> None:
    watch = Watch()
    watch.saw(line(generation=3), Seen("ctx-1", error=True))
    watch.saw(line(generation=5), Seen("ctx-1"))
    watch.saw(line(generation=3), Seen("ctx-2", error=True))
    generation, counts = watch.take()
    assert (generation, counts.canary.plus(counts.live)) == (5, Tally(seen=1))
    watch.give_back(3, counts)
    assert watch.take() == (5, Counts())


def test_without_a_canary_nothing_is_counted() -> None:
    watch = Watch()
    watch.saw(Line(id="sport", generation=9, live="b" * 64), Seen("ctx-1", error=True))
    assert watch.take()[1] == Counts()
