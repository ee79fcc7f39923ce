"""English numbers as words."""

from num2words import num2words

from concilium.workers.tts.words.digits import READ_AS_NUMBER_MAX

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(text: str) -> str:
    """Return digits one by one."""
    return " ".join(_DIGITS[int(c)] for c in text)


def cardinal(value: int) -> str:
    """Return a whole number, 0 or more."""
    return str(num2words(value, lang="en")).replace(",", "")


def ordinal(value: int) -> str:
    """Return ``twenty-first``."""
    return str(num2words(value, lang="en", to="ordinal")).replace(",", "")


def number(text: str) -> str:
    """Return a number as written: thousands parted by commas, a decimal point; codes are read digit by digit."""
    whole, point, part = text.replace(",", "").partition(".")
    if len(whole) > READ_AS_NUMBER_MAX or (len(whole) > 1 and whole.startswith("0")):
        said = digits(whole)
    else:
        said = cardinal(int(whole))
    return f"{said} point {digits(part)}" if point else said
