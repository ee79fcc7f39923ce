"""SSML's ``say-as``: the same digits said as a number, a telephone number, a date or letter by letter."""

import re
from collections.abc import Callable

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.words import spell_out
from concilium.workers.tts.words.english_numbers import cardinal, digits, ordinal
from concilium.workers.tts.words.russian_numbers import cardinal as cardinal_ru
from concilium.workers.tts.words.russian_numbers import digits as digits_ru
from concilium.workers.tts.words.russian_numbers import ordinal as ordinal_ru
from concilium.workers.tts.words.russian_words import letter_names

LENGTH_MAX = 200
_NUMBER = re.compile(r"\d{1,15}")


def say_as(text: str, kind: str, form: str, language: str) -> str:
    """Return the words for a ``say-as`` element.

    Args:
        text: the element's text.
        kind: ``characters``, ``spell-out``, ``digits``, ``telephone``, ``cardinal``, ``number``, ``ordinal``, ``date``,
            ``time``, ``currency``, ``fraction`` or ``unit``.
        form: of a date, the order of its parts: ``mdy``, ``dmy`` or ``ymd``.
        language: ``en`` or ``ru``.

    Raises:
        SkillFailed: ``bad-ssml``.
    """
    if len(text) > LENGTH_MAX:
        raise SkillFailed("bad-ssml", f"<say-as> holds at most {LENGTH_MAX} characters")
    if kind not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise SkillFailed("bad-ssml", f"interpret-as '{kind[:40]}' is not supported; supported are {known}")
    return f" {_KINDS[kind](text, form, language)} "


def _characters(text: str, _form: str, language: str) -> str:
    said = []
    for letter in text:
        if letter.isdecimal():
            said.append((digits_ru if language == "ru" else digits)(letter))
        elif letter.isalpha():
            said.append(letter_names(letter) if language == "ru" else letter.upper())
    return ", ".join(said)


def _digits(text: str, _form: str, language: str) -> str:
    groups = re.findall(r"\d+", text)
    plus = {"ru": "плюс ", "en": "plus "}[language] if text.startswith("+") else ""
    return plus + ", ".join((digits_ru if language == "ru" else digits)(group) for group in groups)


def _cardinal(text: str, _form: str, language: str) -> str:
    value = re.sub(r"[\s,]", "", text) if language == "en" else re.sub(r"\s", "", text)
    if not _NUMBER.fullmatch(value):
        return spell_out(text, language)
    return cardinal_ru(int(value)) if language == "ru" else cardinal(int(value))


def _ordinal(text: str, _form: str, language: str) -> str:
    found = _NUMBER.match(text.replace(",", ""))
    if not found:
        raise SkillFailed("bad-ssml", "<say-as interpret-as='ordinal'> holds a whole number")
    return ordinal_ru(int(found[0])) if language == "ru" else ordinal(int(found[0]))


def _date(text: str, form: str, language: str) -> str:
    parts = re.findall(r"\d+", text)
    order = form or "mdy"
    if sorted(order) == sorted("dmy") and len(parts) == 3:
        named = dict(zip(order, parts, strict=True))
        year = named["y"] if len(named["y"]) == 4 else f"20{named['y']:0>2}"[:4]
        return spell_out(f"{year}-{named['m']:0>2}-{named['d']:0>2}", language)
    return spell_out(text, language)


def _plainly(text: str, _form: str, language: str) -> str:
    return spell_out(text, language)


_KINDS: dict[str, Callable[[str, str, str], str]] = {
    "characters": _characters,
    "spell-out": _characters,
    "digits": _digits,
    "telephone": _digits,
    "cardinal": _cardinal,
    "number": _cardinal,
    "ordinal": _ordinal,
    "date": _date,
    "time": _plainly,
    "currency": _plainly,
    "fraction": _plainly,
    "unit": _plainly,
}
