"""Denied contexts: where no private view may speak, whoever asks and however.

Everything that came with the request is read: text, earlier turns, instructions, agent, skill, file names; inside
quotes and code too. A context that is named is taken to apply, even where the text says that it does not.
"""

from functools import lru_cache
from itertools import pairwise

from concilium.adapters.guard.letters import Word, read
from concilium.adapters.guard.phrases import Phrases
from concilium.adapters.guard.stems import Stems, is_russian
from concilium.adapters.guard.words import sections

_LATIN_OF = str.maketrans({
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ж": "zh", "з": "z", "и": "i", "к": "k",
    "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh",
    "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
})  # fmt: skip
_TRANSLITERATED_MIN = 6
_TORN_MIN = 5


_NO_CONTEXTS = ("ordinary", "harmless")
_WORDS = sections("denied")
CONTEXTS = tuple(section for section in _WORDS if section not in _NO_CONTEXTS)
"""What may be denied; see ``words/denied.txt``."""
_LISTED = [(entry, context) for context in CONTEXTS for entry in _WORDS[context]]
_DENIED = Phrases(_LISTED, _WORDS["ordinary"])
_HARMLESS = Phrases.of(_WORDS["harmless"])
_TRANSLITERATED = Stems(
    (entry.translate(_LATIN_OF), context)
    for entry, context in _LISTED
    if is_russian(entry) and len(entry) > _TRANSLITERATED_MIN and not {"_", "~"} & set(entry)
)


@lru_cache(maxsize=64)
def denied(text: str) -> tuple[tuple[str, int, int], ...]:
    """Return the denied contexts that a text names, each with the characters that name it first."""
    reading = read(text)
    spared = {n for hit in _HARMLESS.phrases(reading.words) for n in range(hit.first, hit.last + 1)}
    found: dict[str, tuple[int, int]] = {}
    for hit in _DENIED.all(reading.words):
        if not spared.issuperset(range(hit.first, hit.last + 1)):
            found.setdefault(hit.meaning, (reading.words[hit.first].start, reading.words[hit.last].end))
    for word in (*reading.words, *reading.others):
        meaning = _hidden(word)
        if meaning is not None:
            found.setdefault(meaning, (word.start, word.end))
    for one, other in pairwise(reading.words):
        if meaning := _torn(one, other):
            found.setdefault(meaning, (one.start, other.end))
    return tuple((context, *span) for context, span in found.items())


def _hidden(word: Word) -> str | None:
    """Return the context of a word that is written backwards, in Latin letters, or is one of `Reading.others`."""
    for form in word.forms:
        backwards = _DENIED.single.exact(form[::-1]) if len(form) >= 5 else None
        meaning = backwards or (word.glued and (_DENIED.single.find(form) or _DENIED.single.inside(form))) or None
        meaning = meaning or _TRANSLITERATED.exact(form)
        if meaning:
            return meaning
    return None


def _torn(one: Word, other: Word) -> str | None:
    """Return the context of a word that a blank tears in two; neither half is one already."""
    whole = one.forms[0] + other.forms[0]
    if len(whole) < _TORN_MIN or _DENIED.single.exact(one.forms[0]):
        return None
    return _DENIED.single.exact(whole)
