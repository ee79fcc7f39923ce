"""Tells from what a Latin-only reader made of a page whether the page was Cyrillic.

Such a reader turns Cyrillic letters into look-alikes: "Сотрудник" becomes "CoTPyAHUK". The words it makes have capitals
and digits in their middle, unlikely pairs of letters and low confidence. A logistic model (weights and letter pairs in
``script.json``, trained and measured by ``benchmarks/script_detector.py``) gives each word log-odds of being Cyrillic;
words of one page share their script, so their log-odds are added up.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from concilium.workers.vision.lines import Line

MODEL = Path(__file__).with_name("script.json")
CONFIDENCE_MIN = 0.5
"""Lines the reader believes in less are specks and pictures: they say nothing."""
WORD_CAP = 4.0
"""No word says more than this (log-odds), so that one odd code does not condemn a page."""
CAP_LETTERS = 10
"""A longer word is several that the reader ran together: it counts and says as much as they."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_INNER_DIGITS = re.compile(r"(?:^|(?<=[^\W\d_]))\d+(?=[^\W\d_])")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_CYRILLIC_WORD = re.compile("[\u0400-\u052f]{3}")
_EDGE = 26


@dataclass(frozen=True)
class Model:
    """The trained numbers."""

    weights: tuple[float, ...]
    """One for each of `features`, the constant last."""
    pairs: tuple[tuple[float, ...], ...]
    """Natural logarithm of the probability that a letter follows one; index 26 is the edge of a word."""
    page_limit: float
    """A page whose words add up to more is Cyrillic."""
    line_limit: float
    """A line whose words add up to more is Cyrillic, whatever the rest of the page says."""


@cache
def model() -> Model:
    """Return the model that is shipped."""
    data = json.loads(MODEL.read_text())
    pairs = tuple(tuple(value / 10 for value in row) for row in data["pairs"])
    return Model(tuple(data["weights"]), pairs, data["page_limit"], data["line_limit"])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the page is Cyrillic, and the log-odds of that for the whole page and for its most Cyrillic line."""

    cyrillic: bool
    page: float
    line: float


def judge(lines: Iterable[Line]) -> Verdict:
    """Return the verdict over lines read by a Latin-only reader; numbers alone are never Cyrillic."""
    known = model()
    scores = [line_score(line, known) for line in lines if line.confidence >= CONFIDENCE_MIN]
    page, line = math.fsum(scores), max(scores, default=0.0)
    return Verdict(page > known.page_limit or line > known.line_limit, page, line)


def cyrillic_share(text: str) -> float:
    """Return which part of a text's letters is Cyrillic; 0 without letters."""
    letters = [c for c in text if c.isalpha()]
    return len(_CYRILLIC.findall(text)) / len(letters) if letters else 0.0


def has_cyrillic(text: str) -> bool:
    """Return whether any letter is Cyrillic."""
    return _CYRILLIC.search(text) is not None


def has_cyrillic_words(text: str) -> bool:
    """Return whether a word has three Cyrillic letters in a row; fewer are often misread Latin ones."""
    return _CYRILLIC_WORD.search(text) is not None


def line_score(line: Line, known: Model) -> float:
    """Return the log-odds of a line."""
    return math.fsum(word_score(features(word, sure, known.pairs), len(word), known) for word, sure in words(line))


def word_score(values: tuple[float, ...], letters: int, known: Model) -> float:
    """Return the capped log-odds of a word."""
    total = math.fsum(w * v for w, v in zip(known.weights, (*values, 1.0), strict=True))
    cap = WORD_CAP * max(1.0, letters / CAP_LETTERS)
    return min(cap, max(-cap, total * max(1.0, letters / CAP_LETTERS)))


def words(line: Line) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield words of three letters and more (less may be any code) with their characters' confidences."""
    sure = line.per_character or (line.confidence,) * len(line.text)
    for found in _WORD.finditer(line.text):
        word = found.group()
        if sum(c.isalpha() for c in word) >= 3:
            yield word, sure[found.start() : found.end()]


def features(word: str, sure: tuple[float, ...], pairs: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """Return what the model looks at in a word, each value roughly from 0 to 5."""
    letters = [c for c in word if c.isalpha()]
    count = len(letters)
    doubt = [1 - s for c, s in zip(word, sure, strict=True) if c.isalpha()]
    inner_capitals = sum(a.islower() and b.isupper() for a, b in pairwise(word))
    inner_digits = len(_INNER_DIGITS.findall(word))
    likely = pair_mean(letters, pairs)
    capitals = sum(c.isupper() for c in letters) == count
    small = sum(c.islower() for c in letters) == count
    return (
        likely,
        likely * min(count, 12) / 4,
        likely if capitals else 0.0,
        1.0 if capitals else 0.0,
        1.0 if small else 0.0,
        min(inner_capitals, 4),
        1.0 if inner_capitals > 1 else 0.0,
        min(inner_digits, 3),
        10 * sum(doubt) / count,
        5 * max(doubt),
        min(sum("\u0370" <= c <= "\u052f" for c in letters), 3),
        min(sum(c > "\u052f" for c in letters), 3),
        sum(plain(c) in "aeiou" for c in letters) / count,
        min(count, 12) / 4,
    )


def pair_mean(letters: list[str], pairs: tuple[tuple[float, ...], ...]) -> float:
    """Return how unlikely the letters follow one another in English: mean negative log probability, minus 2."""
    codes = [_EDGE, *(_code(c) for c in letters), _EDGE]
    steps = list(pairwise(codes))
    return -sum(pairs[a][b] for a, b in steps) / len(steps) - 2


def plain(letter: str) -> str:
    """Return a letter in lower case without its accent."""
    return unicodedata.normalize("NFD", letter)[0].lower()


def _code(letter: str) -> int:
    position = ord(plain(letter)) - ord("a")
    return position if 0 <= position < 26 else _EDGE
