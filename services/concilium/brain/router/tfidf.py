"""Character n-gram TF-IDF over the skills' examples, in plain Python: no weights, no imports, microseconds a clause.

Salton and Buckley, "Term-weighting approaches in automatic text retrieval" (1988): sublinear term frequency, smoothed
inverse document frequency, cosine similarity. N-grams are taken inside words padded with a blank, so that Russian and
English endings count little and stems much.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

_SIZES = (3, 4)
_WORDS = re.compile(r"[^\W_]+")


def grams(text: str) -> Counter[str]:
    """Return the n-grams of a text's words."""
    found: Counter[str] = Counter()
    for word in _WORDS.findall(text.lower().replace("ё", "е")):
        padded = f" {word} "
        for size in _SIZES:
            found.update(padded[i : i + size] for i in range(len(padded) - size + 1))
    return found


class Examples:
    """An inverted index of labelled examples."""

    def __init__(self, examples: Iterable[tuple[str, str]]) -> None:
        """Index ``(label, example)`` pairs."""
        counted = [(label, grams(text)) for label, text in examples]
        self._labels = [label for label, _ in counted]
        seen = Counter(gram for _, terms in counted for gram in terms)
        self._idf = {gram: math.log((1 + len(counted)) / (1 + n)) + 1 for gram, n in seen.items()}
        self._rare = math.log(1 + len(counted)) + 1
        self._postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, (_, terms) in enumerate(counted):
            for gram, weight in self._weigh(terms).items():
                self._postings[gram].append((number, weight))

    def scores(self, text: str) -> dict[str, float]:
        """Return the best cosine similarity in [0, 1] of a text to an example of each label."""
        sums: defaultdict[int, float] = defaultdict(float)
        for gram, weight in self._weigh(grams(text)).items():
            for number, other in self._postings.get(gram, ()):
                sums[number] += weight * other
        best: dict[str, float] = {}
        for number, score in sums.items():
            label = self._labels[number]
            best[label] = max(score, best.get(label, 0.0))
        return best

    def _weigh(self, terms: Counter[str]) -> dict[str, float]:
        # A gram no example has still counts in the norm: unknown words make a text less like every example.
        raw = {gram: (1 + math.log(n)) * self._idf.get(gram, self._rare) for gram, n in terms.items()}
        norm = math.sqrt(sum(weight * weight for weight in raw.values())) or 1.0
        return {gram: weight / norm for gram, weight in raw.items()}
