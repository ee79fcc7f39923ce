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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

from concilium.workers.vision.lines import Line, Word, line_of

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
_LATIN = re.compile("[A-Za-z]")
_LATIN_WORD = re.compile("[A-Za-z]{2}")
_EDGE = 26
_LATIN_TWINS, _CYRILLIC_TWINS = "ABCEHKMOPTXYaceopxy", "АВСЕНКМОРТХУасеорху"
_TO_CYRILLIC = str.maketrans(_LATIN_TWINS, _CYRILLIC_TWINS)
_TO_LATIN = str.maketrans(_CYRILLIC_TWINS, _LATIN_TWINS)


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


def has_latin(text: str) -> bool:
    """Return whether any letter is Latin."""
    return _LATIN.search(text) is not None


def has_latin_words(text: str) -> bool:
    """Return whether a word has two Latin letters in a row; single ones are often misread Cyrillic ones."""
    return _LATIN_WORD.search(text) is not None


def unified(line: Line) -> Line:
    """Return the line with every word in one script, and with lone letters in the script of the words around them.

    A reader of both scripts takes "с", "о", "а" for "c", "o", "a" now and then: letters that look the same are the
    other script's where the word, or else the line, is in that.
    """
    share = cyrillic_share(line.text)
    if share in (0, 1) or not line.words:
        return line
    words = tuple(_unified(word, share) for word in line.words)
    return line if words == line.words else replace(line, text=line_of(words).text, words=words)


def arbitrated(line: Line, others: Sequence[Word], *, cyrillic: bool) -> Line:
    """Return the line with words of the other script replaced where a reading in the page's script alone is surer.

    Args:
        line: as it was read in both scripts.
        others: the words of the page as they were read in its own script alone.
        cyrillic: whether that is Cyrillic.
    """
    foreign = has_latin if cyrillic else has_cyrillic
    words = tuple(_surer(word, others) if foreign(word.text) else word for word in line.words)
    return line if words == line.words else line_of(words)


def _surer(word: Word, others: Sequence[Word]) -> Word:
    same = [other for other in others if _in(other, word) and _in(word, other)]
    return same[0] if len(same) == 1 and same[0].confidence > word.confidence else word


def _in(inner: Word, outer: Word) -> bool:
    """Whether the middle of a word lies in another."""
    return outer.x <= inner.x + inner.width / 2 < outer.right and outer.y <= inner.middle < outer.bottom


def _unified(word: Word, line_share: float) -> Word:
    letters = sum(c.isalpha() for c in word.text)
    share = cyrillic_share(word.text)
    if letters == 0:
        return word
    # A word wholly in one script stays so, unless it is lone among many of the other and could as well be that.
    of_line = share == 0.5 or (share in (0, 1) and (letters == 1 or not 0.2 <= line_share <= 0.8))
    twins = _TO_CYRILLIC if (line_share if of_line else share) > 0.5 else _TO_LATIN
    text = word.text.translate(twins)
    return replace(word, text=text) if cyrillic_share(text) in (0, 1) else word


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
