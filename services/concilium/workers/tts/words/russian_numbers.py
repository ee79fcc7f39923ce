"""Russian numbers as words, in the case and gender that the sentence asks for."""

import re

from num2words import num2words

from concilium.workers.tts.words.digits import READ_AS_NUMBER_MAX
from concilium.workers.tts.words.russian_nouns import Case, Gender, Noun

_DIGITS = ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять")
_PARTS = ("десят", "сот", "тысячн", "десятитысячн", "стотысячн", "миллионн")
_PART_ENDINGS: dict[Case, tuple[str, str]] = {
    "n": ("ая", "ых"),
    "g": ("ой", "ых"),
    "d": ("ой", "ым"),
    "a": ("ую", "ых"),
    "i": ("ой", "ыми"),
    "p": ("ой", "ых"),
}
"""Endings of ``десятая``: after one, and after every other number."""
_LEADING_ONE = re.compile(r"^(?:одна|одной|одну) (?=тысяч)")


def digits(text: str) -> str:
    """Return digits one by one."""
    return " ".join(_DIGITS[int(c)] for c in text)


def is_one(value: int) -> bool:
    """Whether the number ends in one, as 21 does and 11 does not."""
    return value % 10 == 1 and value % 100 != 11


def cardinal(value: int, case: Case = "n", gender: Gender = "m") -> str:
    """Return a whole number, 0 or more; a thousand is said without a one before it."""
    said = str(num2words(value, lang="ru", case=case, gender=gender, animate=False))
    return _LEADING_ONE.sub("", said)


def ordinal(value: int, case: Case = "n", gender: Gender = "m", *, plural: bool = False) -> str:
    """Return ``двадцать первый`` in its case, gender and number."""
    said = num2words(value, lang="ru", to="ordinal", case=case, gender=gender, plural=plural, animate=False)
    return _LEADING_ONE.sub("", str(said))


def combining(value: int) -> str:
    """Return the number as the first part of a word: ``двадцати`` of ``двадцатилетний``."""
    special = {1: "одно", 1000: "тысяче", 40: "сорока", 90: "девяносто", 100: "сто"}
    if value in special:
        return special[value]
    words = str(num2words(value, lang="ru", case="g", gender="m")).split()
    return "".join({"ста": "сто", "девяноста": "девяносто"}.get(word, word) for word in words)


def whole_of(text: str) -> str:
    """Return the digits of a number written with blanks between its thousands."""
    return text.replace(" ", "")


def number(text: str, case: Case = "n", gender: Gender = "m") -> str:
    """Return a number as written (decimal comma or point); codes are read digit by digit."""
    whole, point, part = whole_of(text).replace(".", ",").partition(",")
    if len(whole) > READ_AS_NUMBER_MAX or (len(whole) > 1 and whole.startswith("0")):
        said = digits(whole)
        return f"{said} запятая {digits(part)}" if point else said
    if not point:
        return cardinal(int(whole), case, gender)
    return _decimal(int(whole), part, case)


def _decimal(whole: int, part: str, case: Case) -> str:
    if len(part) > len(_PARTS):
        return f"{cardinal(whole)} запятая {digits(part)}"
    stem, value = _PARTS[len(part) - 1], int(part)
    entire = f"{cardinal(whole, case, 'f')} цел{_PART_ENDINGS[case][0 if is_one(whole) else 1]}"
    return f"{entire} {cardinal(value, case, 'f')} {stem}{_PART_ENDINGS[case][0 if is_one(value) else 1]}"


def counted(text: str, noun: Noun, case: Case = "n", size: Noun | None = None) -> str:
    """Return a number with its noun: ``две тонны``, ``до пяти километров``, ``два миллиона рублей``."""
    whole = whole_of(text)
    if not whole.isdigit():
        said = number(whole, case)
        return f"{said} {size.one('g')} {noun.many('g')}" if size else f"{said} {noun.one('g')}"
    value = int(whole)
    if size:
        return f"{number(whole, case, size.gender)} {size.counted(value, case)} {noun.many('g')}"
    return f"{number(whole, case, noun.gender)} {noun.counted(value, case)}"


def fraction(over: int, under: int, case: Case = "n") -> str:
    """Return ``три четвёртых``, ``одна вторая``."""
    if under < 2 or under > 1000:
        return f"{cardinal(over)} дробь {cardinal(under)}"
    if is_one(over):
        return f"{cardinal(over, case, 'f')} {ordinal(under, case, 'f')}"
    return f"{cardinal(over, case, 'f')} {ordinal(under, 'g' if case in ('n', 'a') else case, plural=True)}"
