"""Cell values as a spreadsheet shows them: dates, percentages, digits, currencies (ECMA-376 part 1, section 18.8.31).

Names of months and days are English; the system's short date (format 14) is written as year-month-day.
"""

import datetime as dt
import math
import re
from functools import lru_cache
from typing import Any

_SECTION = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;])*')
_TOKENS = re.compile(
    r'"([^"]*)"|\\(.)|_.|\*.|\[\$([^\]-]*)(?:-[^\]]*)?\]|\[(h+|m+|s+)\]|\[[^\]]*\]'
    r"|(yyyy|yy|y|mmmmm|mmmm|mmm|mm|m|dddd|ddd|dd|d|hh|h|ss|s|am/pm|a/p|\.0+)|(.)",
    re.IGNORECASE | re.DOTALL,
)
_DIGITS = re.compile(r"[#0?][#0?,. ]*(?:E[+-]0+)?", re.IGNORECASE)
_LITERALS = re.compile(r'"([^"]*)"|\\(.)|_(?:.)|\*(?:.)|\[\$([^\]-]*)(?:-[^\]]*)?\]|\[[^\]]*\]')
_SYSTEM_DATES = frozenset({"mm-dd-yy", "m/d/yy", "m/d/yyyy", "dd/mm/yy"})
FORMAT_CHARS = 255


def shown(value: Any, number_format: str | None) -> str:
    """Return a value as its cell shows it in a column that is wide enough."""
    code = (number_format or "General")[:FORMAT_CHARS]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.timedelta):
        return _span(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return _moment(value, code)
    if isinstance(value, int | float):
        return general(value) if code == "General" and math.isfinite(value) else _number(value, code)
    return str(value)


def general(value: float) -> str:
    """Return a number as the General format shows it, at most eleven digits."""
    if isinstance(value, int) or value.is_integer():
        return str(int(value)) if abs(value) < 1e11 else f"{value:.5E}"
    return f"{value:.10g}" if 1e-9 < abs(value) < 1e11 else f"{value:.5E}"


def _number(value: float, code: str) -> str:
    if not math.isfinite(value):
        return "#NUM!"
    section, value = _choose(_sections(code), value)
    if section.strip().lower() in ("general", "@", ""):
        return general(value)
    plain = _LITERALS.sub(lambda m: "\0" * len(m[0]), section)
    match = _DIGITS.search(plain)
    if match is None or "/" in plain:
        return general(value) if "/" in plain or match is not None else _literal(section)
    digits = _digits(value, match[0].rstrip(" "), percent="%" in plain)
    tail = section[match.end() :]
    blank = " " if match[0].endswith(" ") else ""
    return (_literal(section[: match.start()]) + digits + blank + _literal(tail)).strip()


@lru_cache(maxsize=1024)
def _sections(code: str) -> list[str]:
    """Return a format's parts for positive, negative and other values."""
    return [match for match in _SECTION.findall(code) if match] or ["General"]


def _choose(sections: list[str], value: float) -> tuple[str, float]:
    """Return the section for a value's sign, and the value it is to show."""
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    if value == 0 and len(sections) > 2:
        return sections[2], value
    return sections[0], value


def _digits(value: float, pattern: str, *, percent: bool) -> str:
    """Return the digits of a number by a pattern like ``#,##0.00`` or ``0.0E+00``."""
    mantissa, exponent, _ = pattern.upper().partition("E")
    scaled = mantissa.rstrip(",")
    value = value * 100 if percent else value / 1000 ** (len(mantissa) - len(scaled))
    whole, _, fraction = scaled.partition(".")
    places = min(sum(c in "0#?" for c in fraction), 15)
    if exponent:
        return f"{value:.{places}E}"
    text = f"{value:{',' if ',' in whole else ''}.{places}f}"
    if "#" in fraction and "." in text:
        needed = sum(c == "0" for c in fraction)
        kept = text.partition(".")[2].rstrip("0")
        text = f"{text.partition('.')[0]}.{kept.ljust(needed, '0')}".removesuffix(".")
    least = sum(c == "0" for c in whole)
    sign, bare = ("-", text[1:]) if text.startswith("-") else ("", text)
    if "," not in whole and least > 1:
        head, point, rest = bare.partition(".")
        bare = head.zfill(least) + point + rest
    return sign + bare


def _literal(section: str) -> str:
    return _LITERALS.sub(lambda m: m[1] or m[2] or m[3] or "", section)


def _span(value: dt.timedelta) -> str:
    seconds = round(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _moment(value: dt.datetime | dt.date | dt.time, code: str) -> str:
    section = _sections(code)[0]
    if section.lower() in (*_SYSTEM_DATES, "general"):
        return _iso(value)
    moment = _full(value)
    tokens = list(_TOKENS.finditer(section))
    half = any((t[5] or "").lower() in ("am/pm", "a/p") for t in tokens)
    return "".join(_token(tokens, number, moment, half=half) for number in range(len(tokens))).strip()


def _token(tokens: list[re.Match[str]], number: int, moment: dt.datetime, *, half: bool) -> str:
    token = tokens[number]
    literal = token[1] or token[2] or token[3] or token[6]
    field = (token[4] or token[5] or "").lower()
    if not field:
        return literal or ""
    if field in ("m", "mm") and _is_minute(tokens, number):
        return f"{moment.minute:0{len(field)}}"
    hour = (moment.hour - 1) % 12 + 1 if half else moment.hour
    values = {
        "yyyy": f"{moment.year:04}", "yy": f"{moment.year % 100:02}", "y": f"{moment.year % 100:02}",
        "mmmmm": moment.strftime("%B")[0], "mmmm": moment.strftime("%B"), "mmm": moment.strftime("%b"),
        "mm": f"{moment.month:02}", "m": str(moment.month),
        "dddd": moment.strftime("%A"), "ddd": moment.strftime("%a"), "dd": f"{moment.day:02}", "d": str(moment.day),
        "hh": f"{hour:02}", "h": str(hour), "ss": f"{moment.second:02}", "s": str(moment.second),
        "am/pm": "AM" if moment.hour < 12 else "PM", "a/p": "A" if moment.hour < 12 else "P",
    }  # fmt: skip
    if field.startswith("."):
        return f".{moment.microsecond:06}"[: len(field)]
    return values.get(field, "")


def _is_minute(tokens: list[re.Match[str]], number: int) -> bool:
    """Whether an ``m`` means minutes: it follows hours or comes before seconds."""
    before = next((t[5] or t[4] for t in reversed(tokens[:number]) if t[5] or t[4]), "")
    after = next((t[5] or t[4] for t in tokens[number + 1 :] if t[5] or t[4]), "")
    return before.lower().startswith("h") or after.lower().startswith("s")


def _full(value: dt.datetime | dt.date | dt.time) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a sheet's dates have no zone
    return dt.datetime(1900, 1, 1, value.hour, value.minute, value.second, value.microsecond)  # noqa: DTZ001


def _iso(value: dt.datetime | dt.date | dt.time) -> str:
    if isinstance(value, dt.datetime):
        midnight = value.time() == dt.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return value.isoformat()
