"""Words by their stems: how Russian and English endings, misspellings and hearing-alike letters are seen through."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

_SOUNDS = str.maketrans({
    "е": "и", "э": "и", "я": "и", "ы": "и", "о": "а", "ю": "у", "б": "п", "в": "ф", "г": "к", "д": "т", "ж": "ш",
    "з": "с", "щ": "ш", "ь": "", "ъ": "",
})  # fmt: skip
_TYPO_MIN = 6
"""Shorter stems are close to too many other words."""
_ENDINGS_RU = (
    "ешь|ишь|ете|ите|али|или|ели|нием|ами|ями|ого|его|ому|ему|ыми|ими|нии|ния|ние|нию|ым|им|ых|их|ыи|ии|ая|яя|ое|ее"
    "|ые|ие|ую|юю|ои|еи|ом|ем|ам|ям|ах|ях|ов|ев|ью|ия|ию|ть|ти|ет|ут|ют|ит|ат|ят|ал|ил|ел|ок|ка|ки|ку|кои|ке"
    "|а|я|о|е|и|ы|у|ю|ь"
)
_ENDING_RU = re.compile(f"(?<=.{{3}})(?:{_ENDINGS_RU})$")
_ENDING_EN = re.compile(r"(?<=.{4})(?:ings|ing|ies|ers|ed|er|es|s|e|y)$")
_ALIKE_MIN = 4
_REMEMBERED = 4096
"""Words whose meaning is kept: most words of a text are common ones."""


def sound(word: str) -> str:
    """Return a Russian word as a misspeller hears it: unstressed vowels alike, consonants unvoiced, none doubled."""
    heard = word.translate(_SOUNDS)
    return "".join(c for n, c in enumerate(heard) if n == 0 or c != heard[n - 1])


def is_russian(word: str) -> bool:
    """Whether a folded word is written in Russian letters."""
    return "а" <= word[:1] <= "я"


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Return a word without its inflectional ending; three letters stay of a Russian word, four of an English one."""
    return (_ENDING_RU if is_russian(word) else _ENDING_EN).sub("", word)


def alike(word: str, wanted: str) -> bool:
    """Whether a word is a form of the wanted one, perhaps misspelt by one letter or as it sounds."""
    if word == wanted:
        return True
    one, other = stem(word), stem(wanted)
    if one == other or _extends(one, other):
        return True
    if is_russian(word) and is_russian(wanted) and len(other) >= 3 and sound(one) == sound(other):
        return True
    if min(len(word), len(wanted)) > _ALIKE_MIN and word[0] == wanted[0] and one_edit(word, wanted):
        return True
    return min(len(one), len(other)) >= _ALIKE_MIN and one[0] == other[0] and one_edit(one, other)


def _extends(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= 4 and len(long) - len(short) <= 3 and long.startswith(short)


def one_edit(word: str, other: str) -> bool:
    """Whether two words differ by at most one letter put in, left out, replaced or swapped with its neighbour."""
    if abs(len(word) - len(other)) > 1:
        return False
    n = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    rests = {(word[n + 1 :], other[n + 1 :]), (word[n:], other[n + 1 :]), (word[n + 1 :], other[n:])}
    swapped = word[n : n + 2] == other[n : n + 2][::-1] and word[n + 2 :] == other[n + 2 :]
    return word == other or swapped or any(a == b for a, b in rests)


def _deleted(word: str) -> Iterator[str]:
    """Yield a word without one of its letters but the first; words with one in common are candidates for `one_edit`.

    This is Garbe's symmetric delete, which finds a misspelt word without comparing it with every other.
    """
    return (word[:n] + word[n + 1 :] for n in range(1, len(word)))


@lru_cache(maxsize=64)
def _keys(word: str) -> tuple[str, ...]:
    return (word, *_deleted(word))


class Stems:
    """A set of stems and words, each standing for something; finds what a word stands for."""

    def __init__(self, entries: Iterable[tuple[str, str]], ordinary: Iterable[str] = ()) -> None:
        """Index ``(entry, meaning)`` pairs. An entry is a whole word, or a stem with ``*`` behind it, or an ending with
        ``*`` before it.

        Args:
            entries: what is looked for, folded.
            ordinary: stems of words that are never taken for a misspelling.
        """
        self._words: dict[str, str] = {}
        self._stems: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self._near: defaultdict[int, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self._sounds: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self._endings: dict[str, str] = {}
        self._ordinary = tuple(ordinary)
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._search)
        for entry, meaning in entries:
            self._add(entry, meaning)

    def _add(self, entry: str, meaning: str) -> None:
        bare = entry.rstrip("*")
        if entry.startswith("*"):
            self._endings[bare.lstrip("*")] = meaning
            return
        if bare == entry:
            self._words.setdefault(entry, meaning)
            return
        self._stems[len(bare)].setdefault(bare, meaning)
        if len(bare) >= _TYPO_MIN:
            for less in (bare, *_deleted(bare)):
                self._near[len(bare)][less].append(bare)
        if len(bare) >= _TYPO_MIN and is_russian(bare):
            heard = sound(bare)
            self._sounds[len(heard)].setdefault(heard, meaning)

    def exact(self, word: str) -> str | None:
        """Return what a word stands for as it is spelt."""
        if word in self._words:
            return self._words[word]
        begins = next((m for n, stems in self._stems.items() if (m := stems.get(word[:n]))), None)
        return begins or (self._ends(word) if self._endings else None)

    def _ends(self, word: str) -> str | None:
        bare = stem(word)
        if not (word.endswith(tuple(self._endings)) or bare.endswith(tuple(self._endings))):
            return None
        return next((m for ending, m in self._endings.items() if word.endswith(ending) or bare.endswith(ending)), None)

    def find(self, word: str) -> str | None:
        """Return what a word stands for, also when it is misspelt by one letter or as it sounds."""
        return self._remembered(word)

    def _search(self, word: str) -> str | None:
        return self.exact(word) or (None if word.startswith(self._ordinary) else self._misspelt(word))

    def inside(self, word: str) -> str | None:
        """Return what a stem of five letters or more inside a word stands for."""
        for n, stems in self._stems.items():
            if n >= 5:
                for start in range(len(word) - n + 1):
                    if word[start : start + n] in stems:
                        return stems[word[start : start + n]]
        return None

    def _misspelt(self, word: str) -> str | None:
        if len(word) < _TYPO_MIN - 1:
            return None
        heard = sound(word) if is_russian(word) else ""
        for n, sounds in self._sounds.items():
            if heard[:n] in sounds:
                return sounds[heard[:n]]
        lengths = (n for n in self._near if n <= len(word) + 1)
        return next((self._stems[n][close] for n in lengths if (close := self._close(word, n))), None)

    def _close(self, word: str, n: int) -> str | None:
        """Return a stem of that length which the word begins with, but for one letter."""
        known = self._near[n]
        for beginning in (word[: n - 1], word[:n], word[: n + 1]):
            close = (other for key in _keys(beginning) for other in known.get(key, ()) if one_edit(beginning, other))
            if (found := next(close, None)) is not None:
                return found
        return None
