"""English dates and times of day as words."""

import re

from num2words import num2words

from concilium.workers.tts.words.digits import Rule, any_of
from concilium.workers.tts.words.english_numbers import cardinal, ordinal
from concilium.workers.tts.words.english_tables import MONTH_OF, MONTHS

_MONTH = rf"({any_of(list(MONTH_OF))})\b\.?"
_YEAR = r"(\d{4})(?!\d)"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"


def year(value: int) -> str:
    """Return ``nineteen eighty-four``, ``two thousand and five``."""
    return str(num2words(value, lang="en", to="year")).replace("oh-", "oh ")


def date(day: int, month: int, in_year: int | None) -> str:
    """Return ``March fifth, twenty twenty-four``."""
    end = f", {year(in_year)}" if in_year is not None else ""
    return f"{MONTHS[month - 1]} {ordinal(day)}{end}"


def _valid(day: int, month: int) -> bool:
    return 1 <= day <= 31 and 1 <= month <= 12


def _full_year(text: str) -> int:
    value = int(text)
    return value if len(text) == 4 else value + (2000 if value < 50 else 1900)


def _iso(m: re.Match[str]) -> str:
    month, day = int(m[2]), int(m[3])
    return f" {date(day, month, int(m[1]))} " if _valid(day, month) else m[0]


def _dotted(m: re.Match[str]) -> str:
    day, month = int(m[1]), int(m[2])
    return f" {date(day, month, _full_year(m[3]))} " if _valid(day, month) else m[0]


def _slashed(m: re.Match[str]) -> str:
    """Month first, as in the United States, unless only the other order makes a date."""
    month, day = int(m[1]), int(m[2])
    if month > 12:
        month, day = day, month
    return f" {date(day, month, _full_year(m[3]))} " if _valid(day, month) else m[0]


def _day_first(m: re.Match[str]) -> str:
    day, month = int(m[2]), MONTH_OF[m[4]]
    if not _valid(day, month):
        return m[0]
    last = f" to the {ordinal(int(m[3]))}" if m[3] else ""
    end = f", {year(int(m[5]))}" if m[5] else ""
    article = m[1] or "the "
    return f"{article}{ordinal(day)}{last} of {MONTHS[month - 1]}{end}"


def _month_first(m: re.Match[str]) -> str:
    month, day = MONTH_OF[m[1]], int(m[2])
    if not _valid(day, month):
        return m[0]
    last = f" to {ordinal(int(m[3]))}" if m[3] else ""
    end = f", {year(int(m[4]))}" if m[4] else ""
    return f"{MONTHS[month - 1]} {ordinal(day)}{last}{end}"


def clock(hour: int, minute: int, second: int | None, half: str) -> str:
    """Return a time of day; ``half`` is ``A M``, ``P M`` or empty."""
    if minute:
        said = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half:
        said = cardinal(hour)
    elif hour == 0:
        said = "midnight"
    else:
        said = f"{cardinal(hour)} o'clock" if hour <= 12 else f"{cardinal(hour)} hundred"
    if second:
        said += f" and {cardinal(second)} second{'' if second == 1 else 's'}"
    return f"{said} {half}".strip()


def _time(m: re.Match[str]) -> str:
    hour, minute, second = int(m[1]), int(m[2]), int(m[3]) if m[3] else None
    if hour > 24 or minute > 59 or (second or 0) > 59:
        return m[0]
    return f" {clock(hour, minute, second, _half(m[4]))}{_stop(m, m[4])} "


def _hour(m: re.Match[str]) -> str:
    return f" {cardinal(int(m[1]))} {_half(m[2])}{_stop(m, m[2])} " if int(m[1]) <= 12 else m[0]


def _half(text: str | None) -> str:
    return f"{text[0].upper()} M" if text else ""


def _stop(m: re.Match[str], half: str | None) -> str:
    """Return the full stop that ``p.m.`` swallowed at the end of a sentence."""
    return "." if half and half.endswith(".") and not m.string[m.end() :].strip() else ""


def _score(m: re.Match[str]) -> str:
    return f" {cardinal(int(m[1]))} to {cardinal(int(m[2]))} "


_HALF = r"([AaPp]\.?\s?[Mm]\b\.?)"
DATES: tuple[Rule, ...] = (
    (re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)(?:T(?=\d))?"), _iso),
    (re.compile(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})(?![\d.]*\d)"), _dotted),
    (re.compile(r"(?<![\d/])(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})(?![\d/])"), _slashed),
    (re.compile(rf"\b([Tt]he\s)?{_DAY}(?:\s?[–-]\s?{_DAY})?\s(?:of\s)?{_MONTH}(?:,?\s{_YEAR})?"), _day_first),
    (re.compile(rf"\b{_MONTH}\s{_DAY}\b(?:\s?[–-]\s?{_DAY}\b)?(?![\d:])(?:,?\s{_YEAR})?"), _month_first),
    (re.compile(rf"\b{_MONTH},?\s{_YEAR}"), lambda m: f"{MONTHS[MONTH_OF[m[1]] - 1]} {year(int(m[2]))}"),
    (re.compile(rf"(?<![\d:])(\d{{1,2}}):(\d{{2}})(?::(\d{{2}}))?(?![\d:])(?:\s?{_HALF})?"), _time),
    (re.compile(rf"(?<![\d.,:])(\d{{1,2}})\s?{_HALF}(?!\w)"), _hour),
    (re.compile(r"(?<![\d:])(\d{1,3}):(\d{1,3})(?![\d:])"), _score),
)  # fmt: skip
