"""Whether a private view may speak on its own topic when nobody asked for it by name.

No list of denied contexts is complete, so this asks the other way round: each word has to be an everyday one, one of
the world-view's topics, or a word that asks for a view. One word beyond them, and the private view keeps silent.
"""

from concilium.adapters.guard.letters import Word, read
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
_SHORT_ENDINGS = ("s", "es", "d", "ed", "ing", "ly")
"""Of English words too short for `stem`."""


def silence(text: str, paradigm: Paradigm) -> str:
    """Return why the private view keeps silent, ``unsure:…``; empty when it may speak."""
    words = read(text).words
    if has(_HEALTH, words):
        return "unsure:health"
    if has(_WRITING, words) and not has(_PLAIN_OBJECTS, words):
        return "unsure:writing"
    own = frozenset(form for topic in paradigm.allowed_topics for word in read(topic).words for form in word.plain)
    views = _VIEWS.lasts(words)
    plain = all(n in views or _is_plain(word, own) for n, word in enumerate(words))
    return "" if plain else "unsure:words"


def _is_plain(word: Word, own: frozenset[str]) -> bool:
    form = word.forms[0]
    known = form in _PLAIN or stem(form) in _PLAIN_STEMS or _PLAIN_BEGINNINGS.exact(form) is not None
    inflected = any(form.endswith(end) and form[: -len(end)] in _PLAIN for end in _SHORT_ENDINGS)
    return form.isdigit() or known or inflected or any(alike(form, topic) for topic in own)
