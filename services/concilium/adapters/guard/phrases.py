"""Phrases of stems and words, found among the words of a text."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from concilium.adapters.guard.letters import Word
from concilium.adapters.guard.stems import Stems

_GAP = 2
"""Words that may stand inside a phrase where it says ``~``."""

_Rest = tuple[tuple[tuple[str, bool], ...], str]
"""What follows the first word of a phrase, and what the phrase stands for."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found: its meaning, and the words from ``first`` to ``last`` of the text."""

    meaning: str
    first: int
    last: int


class Phrases:
    """Finds single words and phrases: ``stem*``, ``word``, ``a_b`` side by side, ``a~b`` with a little between."""

    def __init__(self, entries: Iterable[tuple[str, str]], ordinary: Iterable[str] = ()) -> None:
        """Index ``(entry, meaning)`` pairs, folded; ``ordinary`` as in `Stems`."""
        listed = list(entries)
        self.single = Stems(((e, m) for e, m in listed if not _is_phrase(e)), ordinary)
        self._whole: defaultdict[str, list[_Rest]] = defaultdict(list)
        self._begun: defaultdict[int, defaultdict[str, list[_Rest]]] = defaultdict(lambda: defaultdict(list))
        for entry, meaning in listed:
            if _is_phrase(entry):
                (head, _), *rest = _steps(entry)
                place = self._begun[len(head) - 1][head[:-1]] if head.endswith("*") else self._whole[head]
                place.append((tuple(rest), meaning))

    @classmethod
    def of(cls, section: Iterable[str]) -> Self:
        """Return phrases of which only the place matters."""
        return cls((entry, entry) for entry in section)

    def all(self, words: Sequence[Word]) -> Iterator[Hit]:
        """Yield what single words and phrases stand for, in no order."""
        for number, word in enumerate(words):
            for form in word.forms:
                if meaning := self.single.find(form):
                    yield Hit(meaning, number, number)
        yield from self.phrases(words)

    def lasts(self, words: Sequence[Word]) -> set[int]:
        """Return the words that single words and phrases end with, as they are spelt."""
        single = {n for n, word in enumerate(words) if any(self.single.exact(form) for form in word.plain)}
        return single | {hit.last for hit in self.phrases(words)}

    def phrases(self, words: Sequence[Word]) -> Iterator[Hit]:
        """Yield what phrases of two words and more stand for."""
        for number, word in enumerate(words):
            for rest, meaning in self._begins(word):
                last = _follow(words, number, rest)
                if last is not None:
                    yield Hit(meaning, number, last)

    def _begins(self, word: Word) -> Iterator[_Rest]:
        """Yield the phrases that may begin with a word."""
        for form in word.forms:
            yield from self._whole.get(form, ())
            for n, begun in self._begun.items():
                yield from begun.get(form[:n], ())


def has(phrases: Phrases, words: Sequence[Word]) -> bool:
    """Whether words hold one of the phrases, as it is spelt."""
    return bool(phrases.lasts(words))


def _is_phrase(entry: str) -> bool:
    return "_" in entry.strip("_") or "~" in entry


def _steps(entry: str) -> list[tuple[str, bool]]:
    """Return the words of a phrase; True: others may stand before it."""
    steps: list[tuple[str, bool]] = []
    for piece in entry.split("~"):
        loose = bool(steps)
        for word in piece.split("_"):
            steps.append((word, loose))
            loose = False
    return steps


def _follow(words: Sequence[Word], at: int, rest: Sequence[tuple[str, bool]]) -> int | None:
    for wanted, loose in rest:
        window = range(at + 1, min(at + 2 + (_GAP if loose else 0), len(words)))
        found = next((n for n in window if _fits(words[n], wanted)), None)
        if found is None:
            return None
        at = found
    return at


def _fits(word: Word, wanted: str) -> bool:
    if wanted.endswith("*"):
        return any(form.startswith(wanted[:-1]) for form in word.forms)
    return wanted in word.forms
