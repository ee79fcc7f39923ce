"""Whether a private view may speak on its own topic when nobody asked for it by name, or for what when somebody did.

No list of denied contexts is complete, so this asks the other way round: each word has to be an everyday one, one of
the world-view's topics, or a word that asks for a view. One word beyond them, and the private view keeps silent.
Where it is asked for by name, that holds of the words that say what for.
"""

import re
from collections.abc import Sequence

from concilium.adapters.guard.letters import Word, read
from concilium.adapters.guard.match import topics
from concilium.adapters.guard.paradigm import Paradigm
from concilium.adapters.guard.phrases import Phrases, has
from concilium.adapters.guard.stems import Stems, alike, stem
from concilium.adapters.guard.words import sections

_ASKED = sections("asked")
_WRITING, _PLAIN_OBJECTS = (Phrases.of(_ASKED[section]) for section in ("writing", "plain-objects"))
_HEALTH = Phrases.of(_ASKED["health"])
_VIEWS = Phrases.of((*_ASKED["accepted"], *_ASKED["both"], *_ASKED["own"]))
_PLAIN = frozenset(entry for entry in sections("plain")["plain"] if not entry.endswith("*"))
_PLAIN_STEMS = frozenset(map(stem, _PLAIN))
_PLAIN_BEGINNINGS = Stems((entry, entry) for entry in sections("plain")["plain"] if entry.endswith("*"))
_PURPOSES = Phrases.of(_ASKED["purposes"])
_PURPOSE_WORDS = 2
_CLAUSES = re.compile(r"[.!?;:,\n()—]+")
_QUESTIONS = Phrases.of(_ASKED["questions"])
_CLAUSE_WORDS = 3
"""Words of a clause that says something of its own."""
_SHORT_ENDINGS = ("s", "es", "d", "ed", "ing", "ly")
"""Of English words too short for `stem`."""


def silence(text: str, paradigm: Paradigm) -> str:
    """Return why the private view keeps silent, ``unsure:…``; empty when it may speak."""
    words = read(text).words
    if has(_HEALTH, words):
        return "unsure:health"
    if has(_WRITING, words) and not has(_PLAIN_OBJECTS, words):
        return "unsure:writing"
    return "unsure:words" if _unknown(words, paradigm) else ""


def beside(text: str, paradigm: Paradigm) -> str:
    """Return ``unsure:clause`` where a clause tells of something else than the world-view's topics; else empty.

    "Nothing stays down, what is there for breakfast?" is everyday words, and no question about breakfast.
    """
    told = (clause for clause in _CLAUSES.split(text) if _tells(read(clause).words))
    return "" if all(topics(clause, paradigm.allowed_topics) for clause in told) else "unsure:clause"


def _tells(words: Sequence[Word]) -> bool:
    """Whether a clause says something of its own: it is long enough, asks nothing and asks for no view."""
    said = [word for word in words if not word.forms[0].isdigit()]
    return len(said) >= _CLAUSE_WORDS and not _QUESTIONS.lasts(words[:2]) and not has(_VIEWS, words)


def doubt(text: str, paradigm: Paradigm) -> str:
    """Return ``unsure:purpose`` where what a named view is wanted for holds an unknown word; else empty."""
    words = read(text).words
    purposes = {n + step for n in _PURPOSES.lasts(words) for step in range(1, _PURPOSE_WORDS + 1)}
    return "unsure:purpose" if purposes & _unknown(words, paradigm) else ""


def _unknown(words: Sequence[Word], paradigm: Paradigm) -> set[int]:
    own_words = (*paradigm.allowed_topics, *paradigm.names)
    own = frozenset(form for text in own_words for word in read(text).words for form in word.plain)
    views = _VIEWS.lasts(words)
    return {n for n, word in enumerate(words) if n not in views and not _is_plain(word, own)}


def _is_plain(word: Word, own: frozenset[str]) -> bool:
    form = word.forms[0]
    known = form in _PLAIN or stem(form) in _PLAIN_STEMS or _PLAIN_BEGINNINGS.exact(form) is not None
    inflected = any(form.endswith(end) and form[: -len(end)] in _PLAIN for end in _SHORT_ENDINGS)
    return form.isdigit() or known or inflected or any(alike(form, topic) for topic in own)
