"""How the guard reads a text: words as they sound and look, whatever letters they are dressed in.

Unicode is folded by compatibility decomposition (NFKD, UAX #15); marks and invisible characters fall away, so that
``й`` is ``и`` and ``ё`` is ``е`` everywhere. A word has several forms: as written, with letters of one alphabet put for
their look-alikes of the other (the common part of UTS #39's confusables), and with digits read as letters.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[^\W\d_A-ZА-Я])(?=[A-ZА-Я])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_SENTENCE = re.compile(r"(?:^|[.!?:;\n\"«“(])\W*$")
_DROPPED = frozenset({"Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"})
_SPACES = frozenset("\t\n\r\x0b\x0c")
_TO_CYRILLIC = str.maketrans("abcehkmoptxyunr", "авсенкмортхуипг")
_TO_LATIN = str.maketrans("авсенкмортхуипгѕіјԁӏοαενρτυικ", "abcehkmoptxyunrsijdloaenptuik")
_DIGITS_LATIN = str.maketrans("013457", "oleast")
_DIGITS_CYRILLIC = str.maketrans("0346", "озчб")
_SYMBOLS = str.maketrans("@$", "as")
_RUN_MIN = 3
"""Letters standing apart that are also read as one word."""
_ENGLISH = frozenset("abcdefghijklmnopqrstuvwxyz")
_RUSSIAN = frozenset("абвгдежзиклмнопрстуфхцчшщъыьэюя")
"""Russian letters after folding."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text."""

    forms: tuple[str, ...]
    """What it may be read as; the first is as written, folded."""
    start: int
    end: int
    capital: bool = False
    """Begins with a capital letter that no beginning of a sentence explains."""
    glued: bool = False
    """Made of pieces that stand apart or of a part of a word: another reading of words that are also listed alone."""

    @property
    def plain(self) -> tuple[str, ...]:
        """What it is, without suspicion: its other forms count only when no alphabet has all its letters."""
        return self.forms[:1] if _one_alphabet(self.forms[0]) and self.forms[0].isalpha() else self.forms


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as words."""

    words: tuple[Word, ...]
    """One after the other, as written."""
    others: tuple[Word, ...]
    """Glued pieces and parts."""
    strange: bool
    """Holds letters that are neither English nor Russian and look like none of theirs."""


@lru_cache(maxsize=64)
def read(text: str) -> Reading:
    """Return the words of a text; spans count its characters."""
    folded, places = _fold(text)
    words: list[Word] = []
    others: list[Word] = []
    strange = False
    for found in _WORD.finditer(folded):
        start, end = places[found.start()], places[found.end() - 1] + 1
        forms = _forms(found[0])
        strange |= not any(map(_one_alphabet, forms))
        raw = text[start:end]
        words.append(
            Word(forms, start, end, raw[:1].isupper() and not _SENTENCE.search(text[max(0, start - 8) : start]))
        )
        others += _parts(raw, start)
    others += _glued(folded, words)
    return Reading(tuple(words), tuple(others), strange)


def fold(text: str) -> str:
    """Return a text as its words are compared: lower case, without marks and invisible characters."""
    return _fold(text)[0]


def _fold(text: str) -> tuple[str, list[int]]:
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for piece in _folded(character):
            kept.append(piece)
            places.append(place)
    return "".join(kept), places


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    if character in _SPACES:
        return " "
    decomposed = unicodedata.normalize("NFKD", character).casefold()
    again = unicodedata.normalize("NFKD", decomposed)
    return "".join(c for c in again if unicodedata.category(c) not in _DROPPED).translate(_SYMBOLS)


def _forms(word: str) -> tuple[str, ...]:
    forms = {word: None}
    for to in (_TO_CYRILLIC, _TO_LATIN):
        forms[word.translate(to)] = None
    if any(c.isdigit() for c in word) and not word.isdigit():
        forms[word.translate(_DIGITS_LATIN).translate(_TO_LATIN)] = None
        forms[word.translate(_DIGITS_CYRILLIC).translate(_TO_CYRILLIC)] = None
    return tuple(form for form in forms if form == word or _one_alphabet(form))


def _one_alphabet(word: str) -> bool:
    letters = set(filter(str.isalpha, word))
    return letters <= _ENGLISH or letters <= _RUSSIAN


def _parts(raw: str, start: int) -> Iterator[Word]:
    """Yield the parts of a word in camel case, or with a number at its side."""
    cuts = [0, *(m.start() for m in _CAMEL.finditer(raw)), len(raw)]
    if len(cuts) > 2:
        for a, b in pairwise(cuts):
            yield Word(_forms(fold(raw[a:b])), start + a, start + b, glued=True)


def _glued(folded: str, words: list[Word]) -> Iterator[Word]:
    """Yield pieces that stand apart as one word: single letters in a row, and pieces with one sign between them."""
    spans = [(m.start(), m.end()) for m in _WORD.finditer(folded)]
    run: list[int] = []
    for number, span in enumerate(spans):
        if run and not _belongs(folded, spans[run[-1]], span):
            yield from _joined(folded, spans, run, words)
            run = []
        run.append(number)
    yield from _joined(folded, spans, run, words)


def _joined(folded: str, spans: list[tuple[int, int]], run: list[int], words: list[Word]) -> Iterator[Word]:
    if len(run) >= _RUN_MIN or (len(run) == 2 and folded[spans[run[0]][1]] != " "):
        whole = "".join(folded[a:b] for a, b in (spans[n] for n in run))
        yield Word(_forms(whole), words[run[0]].start, words[run[-1]].end, glued=True)


def _belongs(folded: str, before: tuple[int, int], here: tuple[int, int]) -> bool:
    gap = folded[before[1] : here[0]]
    single = here[1] - here[0] == 1 and before[1] - before[0] == 1
    return (single and len(gap) <= 3) or (len(gap) == 1 and gap not in " ,:;!?")
