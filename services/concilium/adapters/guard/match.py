"""Where a request names a world-view or touches one of its topics."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from concilium.adapters.guard.letters import Word, read
from concilium.adapters.guard.phrases import Phrases
from concilium.adapters.guard.stems import alike, is_russian
from concilium.adapters.guard.words import sections

_QUOTED = re.compile(r"«[^»]*»|“[^”]*”|„[^“]*“|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_CLAUSE_END = re.compile(r"[.!?;:,\n()—]")
_VERB_RU = re.compile(r"(?:ет|ут|ют|ит|ат|ят)(?:ся)?$")
_ASIDE = frozenset({"out", "aside", "away"})
_BEFORE = 4
"""Words before a name that may mark or exclude it."""
_WINDOW = 6
"""Words within which those of a topic stand together."""
_WORDS = sections("asked")
_MARKERS = Phrases.of(_WORDS["markers"])
_NEGATIONS = Phrases.of(_WORDS["negations"])
_LOOSE = frozenset(_WORDS["loose-markers"])
_GENERIC = frozenset(_WORDS["generic"])
_SMALL = frozenset({"of", "the", "a", "an", "and", "in", "on", "for", "и", "в", "на", "с", "о", "об", "для"})


@dataclass(frozen=True, slots=True)
class Named:
    """A world-view's name in a text."""

    start: int
    end: int
    sure: bool
    """Asked for; else the words may stand there by chance or as words."""
    excluded: bool
    """Not to be used."""


def names(text: str, wanted: Sequence[str]) -> list[Named]:
    """Return where a text names the world-view, quoted passages apart; a name alone in quotes counts as a title."""
    words = read(text).words
    quoted = [(m.start(), m.end()) for m in _QUOTED.finditer(text)]
    marks = _MARKERS.lasts(words)
    negations = _NEGATIONS.lasts(words)
    found: list[Named] = []
    for name in wanted:
        for at in _places(text, words, _core(name)):
            first, last = words[at[0]], words[at[-1]]
            inside = next((q for q in quoted if q[0] <= first.start and last.end <= q[1]), None)
            title = inside is None or inside[1] - inside[0] <= last.end - first.start + 4
            if title:
                before = _clause_before(text, words, at[0])
                excluded = bool(negations & set(before)) or _put_aside(text, words, at[-1])
                sure = bool(marks & set(before)) or (
                    _is_subject(words, at[-1])
                    if inside
                    else _stands_out(text, words, at) or any(_LOOSE & set(words[n].plain) for n in before)
                )
                found.append(Named(first.start, last.end, sure=sure and not excluded, excluded=excluded))
    return found


def topics(text: str, allowed: Sequence[str]) -> tuple[int, int] | None:
    """Return the characters that touch one of the topics, quoted words counted: one may ask about a quoted thing."""
    words = read(text).words
    for topic in allowed:
        wanted = _content(topic)
        for first in range(len(words)):
            window = words[first : first + (_WINDOW if len(wanted) > 1 else 1)]
            if wanted and all(any(_fits(word, want) for word in window) for want in wanted):
                return window[0].start, window[-1].end
    return None


@lru_cache(maxsize=4096)
def _content(topic: str) -> tuple[str, ...]:
    return tuple(w.forms[0] for w in read(topic).words if w.forms[0] not in _SMALL)


@lru_cache(maxsize=4096)
def _core(name: str) -> tuple[str, ...]:
    """Return the words of a name that must be there: of three and more, those that are its own, if there are two."""
    whole = tuple(w.forms[0] for w in read(name).words)
    own = tuple(w for w in whole if w not in _GENERIC)
    return own if len(own) >= 2 else whole


def _fits(word: Word, wanted: str) -> bool:
    return any(is_russian(form) == is_russian(wanted) and alike(form, wanted) for form in word.plain)


def _places(text: str, words: Sequence[Word], core: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Yield where the words of a name stand together, in any order, with at most one word between two of them."""
    for first in range(len(words)):
        window = range(first, min(first + 2 * len(core) - 1, len(words)))
        chosen: list[int] = []
        for want in core:
            at = next((n for n in window if n not in chosen and _fits(words[n], want)), None)
            if at is None:
                break
            chosen.append(at)
        if (
            len(chosen) == len(core)
            and first in chosen
            and not _CLAUSE_END.search(text, words[first].end, words[max(chosen)].start)
        ):
            yield tuple(sorted(chosen))


def _clause_before(text: str, words: Sequence[Word], at: int) -> list[int]:
    """Return the words before a name that belong to its clause, nearest first."""
    before: list[int] = []
    for n in range(at - 1, max(-1, at - 1 - _BEFORE), -1):
        if _CLAUSE_END.search(text[words[n].end : words[n + 1].start]):
            break
        before.append(n)
    return before


def _put_aside(text: str, words: Sequence[Word], last: int) -> bool:
    """Whether "… out" or "… aside" follows."""
    after = words[last + 1 : last + 2]
    return (
        bool(after)
        and bool(_ASIDE & set(after[0].forms))
        and not _CLAUSE_END.search(text[words[last].end : after[0].start])
    )


def _stands_out(text: str, words: Sequence[Word], at: Sequence[int]) -> bool:
    """Whether a name begins the text, is written as one, the subject of a verb, or beside a word like "theory"."""
    whole = [words[n] for n in at]
    first = at[0]
    beside = [n for n in (first - 1, at[-1] + 1, *range(first, at[-1])) if 0 <= n < len(words)]
    generic = any(form in _GENERIC and form not in _SMALL for n in beside for form in words[n].forms)
    capital = any(word.capital for word in whole) or _title_case(text, whole)
    return first == 0 or generic or capital or _is_subject(words, at[-1])


def _title_case(text: str, words: Sequence[Word]) -> bool:
    return len(words) > 1 and all(text[word.start].isupper() for word in words)


def _is_subject(words: Sequence[Word], last: int) -> bool:
    return any(_VERB_RU.search(form) for word in words[last + 1 : last + 2] for form in word.forms)
