"""What is seen of a canary: every context counts once for each measure, so that one busy caller is not the crowd."""

from collections import OrderedDict
from dataclasses import dataclass

from concilium.adapters.canary.share import gets_canary
from concilium.contracts.adapter_life import CanaryTerms, Counts, Line, Tally

CONTEXTS_MAX = 100_000
"""Contexts of one canary that are remembered; the one heard of longest ago is forgotten."""

SEEN, ERROR, SLOW, POOR = 1, 2, 4, 8


@dataclass(frozen=True)
class Seen:
    """One answer."""

    context: str
    error: bool = False
    latency_s: float | None = None
    score: float | None = None
    """From 0 to 1, of a hook that judges answers; None: it was not judged."""


class Watch:
    """Counts answers of one adapter until they are taken away to the ledger."""

    def __init__(self) -> None:
        self._generation = -1
        self._known: OrderedDict[str, int] = OrderedDict()
        self._counts = Counts()

    def saw(self, line: Line, answer: Seen) -> None:
        """Count an answer that was given while a line was as it is here; without a canary nothing is counted."""
        if line.canary is None or line.generation < self._generation:
            return
        if line.generation > self._generation:
            self._generation, self._counts = line.generation, Counts()
            self._known.clear()
        had = self._known.pop(answer.context, 0)
        now = had | _marks(answer, line.canary.terms)
        self._known[answer.context] = now
        if len(self._known) > CONTEXTS_MAX:
            self._known.popitem(last=False)
        if now != had:
            self._add(now & ~had, canary=gets_canary(line, answer.context))

    def take(self) -> tuple[int, Counts]:
        """Return the line's generation and what was counted since the last call."""
        counts, self._counts = self._counts, Counts()
        return self._generation, counts

    def give_back(self, generation: int, counts: Counts) -> None:
        """Count again what could not be stored."""
        if generation == self._generation:
            mine = self._counts
            self._counts = Counts(canary=mine.canary.plus(counts.canary), live=mine.live.plus(counts.live))

    def _add(self, new: int, *, canary: bool) -> None:
        more = Tally(seen=bool(new & SEEN), errors=bool(new & ERROR), slow=bool(new & SLOW), poor=bool(new & POOR))
        arms = self._counts
        self._counts = (
            Counts(canary=arms.canary.plus(more), live=arms.live)
            if canary
            else Counts(canary=arms.canary, live=arms.live.plus(more))
        )


def _marks(answer: Seen, terms: CanaryTerms) -> int:
    found = SEEN
    if answer.error:
        found |= ERROR
    if answer.latency_s is not None and answer.latency_s > terms.slow_s:
        found |= SLOW
    if answer.score is not None and answer.score < terms.poor_below:
        found |= POOR
    return found
