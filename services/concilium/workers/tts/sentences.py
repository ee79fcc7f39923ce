"""Cuts text into sentences and tells English from Russian by script."""

import re
import unicodedata

from concilium.workers.tts.words.digits import each

SENTENCE_MAX = 600
"""Characters handed to the engine at once."""

_END = re.compile(r"(?<=[.!?…])[\"'»”)\]]*\s+|\n+")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[A-Za-z]")
_LAST = re.compile(r"([A-Za-zА-Яа-яЁё](?:[A-Za-zА-Яа-яЁё.]*[A-Za-zА-Яа-яЁё])?)\.$")

_NEVER_END = frozenset(
    each(
        "mr mrs ms dr prof st vs e.g i.e fig vol gen col capt lt sgt gov sen rev approx "
        "т ул просп пер корп стр гл рис табл см ср напр им ок тел проф акад доц зам"
    )
)
"""Abbreviations after which a sentence goes on, whatever follows."""
_MAY_END = frozenset(
    each(
        "etc a.m p.m inc ltd co corp jr sr no pp jan feb mar apr jun jul aug sep sept oct nov dec min max ca "
        "г гг в вв руб коп тыс млн млрд чел шт др пр э д п ч кв мин сек час обл т.д т.п т.е т.к н.э экз мес нед ст"
    )
)
"""Abbreviations after which a sentence goes on unless a capital follows."""


def clean(text: str) -> str:
    """Return the text without control and format characters, line ends kept."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text).strip()


def split(text: str) -> list[str]:
    """Return the sentences that hold something to say; long ones are cut at a space where there is one."""
    found: list[str] = []
    begin = 0
    for end in _END.finditer(text):
        if "\n" in end[0] or not _goes_on(text[begin : end.start()].rstrip("\"'»”)]"), text[end.end() : end.end() + 1]):
            found += chunks(text[begin : end.end()])
            begin = end.end()
    found += chunks(text[begin:])
    return [sentence for sentence in found if sayable(sentence)]


def sayable(text: str) -> bool:
    """Whether the text holds a letter, a digit or a sign that has a name."""
    return any(c.isalnum() or unicodedata.category(c) in ("Sm", "Sc") for c in text)


def chunks(sentence: str) -> list[str]:
    """Return the sentence, cut so that no part is longer than `SENTENCE_MAX`."""
    found: list[str] = []
    rest = sentence.strip()
    while len(rest) > SENTENCE_MAX:
        space = rest.rfind(" ", 1, SENTENCE_MAX)
        cut = space if space > 0 else SENTENCE_MAX
        found.append(rest[:cut])
        rest = rest[cut:].strip()
    return [*found, rest] if rest else found


def language_of(sentence: str, before: str = "en") -> str:
    """Return ``ru`` or ``en``, whichever script has more letters; ``before`` when there are none."""
    russian, english = len(_CYRILLIC.findall(sentence)), len(_LATIN.findall(sentence))
    if russian == english:
        return before
    return "ru" if russian > english else "en"


def _goes_on(sentence: str, following: str) -> bool:
    """Whether the full stop ends an abbreviation or an initial, and not the sentence."""
    last = _LAST.search(sentence, max(0, len(sentence) - 12))
    if last is None:
        return False
    word = last[1]
    if len(word) == 1 and word.isupper() and word != "I":
        return True
    if word.lower() in _NEVER_END or (word == "г" and not re.search(r"\d\s*г\.$", sentence)):
        return True
    return word.lower() in _MAY_END and not following.isupper()
