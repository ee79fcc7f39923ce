"""What both languages share: digits as people type them, and rules that are applied one after the other."""

import re
import unicodedata
from collections.abc import Callable, Sequence

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]
"""A pattern and what is said in its place."""

READ_AS_NUMBER_MAX = 15
"""Longer strings of digits are read digit by digit: nobody follows a number of quadrillions."""

_SPACES = {ord(space): " " for space in "\u00a0\u2007\u2009\u202f"}
_FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}
_FRACTION = re.compile(rf"(\d)?([{''.join(_FRACTIONS)}])")
_POWERS = {"²": "2", "³": "3"}
LONG_CODE = re.compile(rf"(?<![\d.,])\d{{{READ_AS_NUMBER_MAX + 1},}}(?![.,]?\d)")
"""Read first of all: no rule for numbers must try its luck on hundreds of digits."""
UNIT_POWER = re.compile(r"(?<=[A-Za-zА-Яа-я])\^?([²³])")


def plain_digits(text: str) -> str:
    """Return the text with ASCII digits (any script's decimal digits), plain spaces and simple fractions."""
    text = text.translate(_SPACES).replace("\u2212", "-")
    text = "".join(str(unicodedata.decimal(c)) if ord(c) > 127 and c.isdecimal() else c for c in text)
    text = UNIT_POWER.sub(lambda m: _POWERS[m[1]], text)
    return _FRACTION.sub(lambda m: (f"{m[1]} " if m[1] else "") + _FRACTIONS[m[2]], text)


def apply(rules: Sequence[Rule], text: str) -> str:
    """Return the text after every rule; words put in are kept apart from their neighbours."""
    for pattern, say in rules:
        text = pattern.sub(say, text)
    return text


def each(words: str) -> tuple[str, ...]:
    """Return the words of a list written as one string."""
    return tuple(words.split())


def any_of(names: Sequence[str]) -> str:
    """Return a pattern for one of the names, the longest that fits."""
    return "(?:" + "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) + ")"


def roman(numeral: str) -> int:
    """Return the value of a Roman numeral; 0 when it is none."""
    values = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
    total = 0
    for letter, following in zip(numeral, numeral[1:] + " ", strict=True):
        value = values[letter]
        total += -value if value < values.get(following, 0) else value
    return total if numeral == to_roman(total) else 0


def to_roman(number: int) -> str:
    """Return a number from 1 to 399 as a Roman numeral; others give an empty string."""
    if not 0 < number < 400:
        return ""
    steps = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
    written = ""
    for value, letters in steps:
        count, number = divmod(number, value)
        written += letters * count
    return written
