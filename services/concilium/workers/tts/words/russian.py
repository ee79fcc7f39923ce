"""Russian: numbers, dates, times, money, units and abbreviations as words."""

import re

from concilium.workers.tts.words.digits import LONG_CODE, Rule, any_of, apply
from concilium.workers.tts.words.russian_context import case_of, gender_of, word_before
from concilium.workers.tts.words.russian_dates import DATES
from concilium.workers.tts.words.russian_nouns import HOUR, MAGNITUDES, MONEY, UNITS, Case, Gender, Noun
from concilium.workers.tts.words.russian_numbers import (
    cardinal,
    combining,
    counted,
    digits,
    fraction,
    is_one,
    number,
    ordinal,
    whole_of,
)
from concilium.workers.tts.words.russian_words import ABBREVIATIONS, ACRONYMS

NUMBER = r"(?:\d{1,3}(?: \d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?)"
_DASH = r"\s?[–—-]\s?"
_MINUS = r"(?<![\w)–—-])(-?)"
_SIZE = rf"(?:\s?({any_of(list(MAGNITUDES))})(?!\w))?"
_UNIT = any_of(list(UNITS))
_NAMES = any_of(list(MONEY))
_SIGNS = r"([$€£¥₽])"
_END = r"(?![\w/])"


def russian(text: str) -> str:
    """Return the sentence with everything that is no word written out."""
    return apply(_RULES, text)


def _value(text: str) -> int:
    whole = whole_of(text)
    return int(whole) if whole.isdigit() and len(whole) < 16 else 0


def _stop(m: re.Match[str]) -> str:
    return "." if m[0].endswith(".") and not m.string[m.end() :].strip() else ""


def _sum(amount: str, size: str | None, name: str, case: Case) -> str:
    note, coin = MONEY[name]
    if size:
        return counted(amount, note, case, MAGNITUDES[size])
    whole, _, part = whole_of(amount).replace(".", ",").partition(",")
    if len(part) != 2 or coin is None:
        return counted(amount, note, case)
    said = [counted(whole, note, case)] if int(whole) or not int(part) else []
    return " ".join([*said, counted(str(int(part)), coin, case)] if int(part) else said)


def _money_before(m: re.Match[str]) -> str:
    return f" {'минус ' if m[1] else ''}{_sum(m[3], m[4], m[2], _amount_case(m, m[3]))} "


def _money(m: re.Match[str]) -> str:
    return f" {'минус ' if m[1] else ''}{_sum(m[2], m[3], m[4], _amount_case(m, m[2]))}{_stop(m)} "


def _amount_case(m: re.Match[str], amount: str) -> Case:
    """Return the case of an amount; ``в 5 км от города`` is the prepositional."""
    if word_before(m) in ("в", "во") and re.match(r"\s+от\s", m.string[m.end() :]):
        return "p"
    return case_of(m, "", _value(amount))


def _measure(m: re.Match[str]) -> str:
    noun, size = UNITS[m[4]], MAGNITUDES[m[3]] if m[3] else None
    return f" {'минус ' if m[1] else ''}{counted(m[2], noun, _amount_case(m, m[2]), size)}{_stop(m)} "


def _pair(m: re.Match[str]) -> tuple[str, str, Case]:
    """Return what joins the ends of a range, and the case of both: from … to …, unless a preposition rules."""
    case = case_of(m, "", 5)
    return ("от ", " до ", "g") if case == "n" else ("", " - ", case)


def _range_of_units(m: re.Match[str]) -> str:
    before, between, case = _pair(m)
    noun = UNITS.get(m[4]) or MONEY[m[4]][0]
    size = MAGNITUDES[m[3]] if m[3] else None
    gender: Gender = size.gender if size else noun.gender
    return f" {before}{number(m[1], case, gender)}{between}{counted(m[2], noun, case, size)}{_stop(m)} "


def _range(m: re.Match[str]) -> str:
    case = case_of(m, m[3] or "", 5)
    genders = [gender_of(_value(end), m[3] or "", "", case) for end in (m[1], m[2])]
    if case == "n" and m[3]:
        return f" от {number(m[1], 'g', genders[0])} до {number(m[2], 'g', genders[1])} "
    return f" {number(m[1], case, genders[0])} - {number(m[2], case, genders[1])} "


def _phone(m: re.Match[str]) -> str:
    groups = re.findall(r"\d+", m[0])
    plus = "плюс " if m[0].lstrip().startswith("+") else ""
    return f" {plus}{', '.join(_group(group) for group in groups)} "


def _group(group: str) -> str:
    """Return a telephone number's group as a number, zeros before it said one by one."""
    zeros = len(group) - len(group.lstrip("0"))
    rest = group[zeros:]
    return " ".join([*["ноль"] * zeros, *([cardinal(int(rest))] if rest else [])]) if len(group) < 4 else digits(group)


_SUFFIXES: dict[str, tuple[Case, Gender]] = {
    **dict.fromkeys(("й", "ый", "ий", "ой"), ("n", "m")),
    **dict.fromkeys(("я", "ая", "ья"), ("n", "f")),
    **dict.fromkeys(("е", "ое", "ье", "ее"), ("n", "n")),
    **dict.fromkeys(("го", "ого", "его"), ("g", "m")),
    **dict.fromkeys(("му", "ому", "ему"), ("d", "m")),
    **dict.fromkeys(("ым", "им"), ("i", "m")),
    **dict.fromkeys(("м", "ом", "ем"), ("p", "m")),
    **dict.fromkeys(("ю", "ую", "ью"), ("a", "f")),
}


def _with_suffix(m: re.Match[str]) -> str:
    value, suffix = int(m[1]), m[2]
    many = value % 10 == 0 and (20 <= value <= 90 or value >= 1000)
    if suffix in ("ти", "мя", "ех", "ёх") or (suffix == "х" and value in (2, 3, 4)):
        return cardinal(value, "i" if suffix == "мя" else "g")
    if suffix in ("х", "ых", "их"):
        return ordinal(value, "p" if word_before(m) in ("в", "на", "о") else "g", plural=True)
    if suffix in ("ми", "ыми"):
        return ordinal(value, "i", plural=True)
    if suffix in ("е", "ые") and many and not re.match(r"\s+(?:числ|мест|январ|феврал|март)", m.string[m.end() :]):
        return ordinal(value, "n", plural=True)
    if suffix == "ые":
        return ordinal(value, "n", plural=True)
    case, gender = _SUFFIXES[suffix]
    if suffix == "м" and word_before(m) not in ("в", "во", "на", "о", "об", "при"):
        case = "i"
    if suffix == "ой" and word_before(m) in ("в", "на", "с", "из", "к", "до", "от", "после", "о", "об"):
        gender, case = "f", "g"
    return ordinal(value, case, gender)


def _fraction(m: re.Match[str]) -> str:
    return f" {fraction(int(m[1]), int(m[2]), case_of(m))} "


def _mixed(m: re.Match[str]) -> str:
    if (m[2], m[3]) == ("1", "2"):
        return f" {cardinal(int(m[1]))} с половиной "
    whole = int(m[1])
    entire = "целая" if is_one(whole) else "целых"
    return f" {cardinal(whole, 'n', 'f')} {entire} {fraction(int(m[2]), int(m[3]))} "


def _before_word(m: re.Match[str]) -> str:
    """A number before a noun written out: case and gender follow from both its neighbours."""
    value = _value(m[1])
    case = case_of(m, m[2], value)
    if case == "a" and word_before(m) in ("в", "на") and m[2].lower().endswith("е") and value % 10 == 1:
        case = "p"
    return f" {number(m[1], case, gender_of(value, m[2], m[3] or '', case))} "


def _hours(m: re.Match[str]) -> str:
    case = case_of(m)
    return f" {cardinal(int(m[1]), case)} {HOUR.counted(int(m[1]), case)} "


def _series(m: re.Match[str]) -> str:
    between = " точка " if "." in m[0] else ", "
    return f" {between.join(number(part) for part in re.findall('[0-9]+', m[0]))} "


def _card(m: re.Match[str]) -> str:
    return f" {', '.join(digits(group) for group in re.findall('[0-9]+', m[0]))} "


def _large(m: re.Match[str]) -> str:
    noun: Noun = MAGNITUDES[m[2]]
    return f" {counted(m[1], noun, case_of(m, '', _value(m[1])))}{_stop(m)} "


_PHONES: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w.])(?:\+\d{1,3}|8)[\s-]?\(?\d{3,4}\)?[\s-]?\d{2,3}[\s-]\d{2}[\s-]\d{2}(?![\w-])"), _phone),
    (re.compile(r"(?<![\w.])\+\d{1,3}(?:[\s.-]?\(?\d{2,5}\)?){2,5}(?!\w)"), _phone),
    (re.compile(r"(?<![\w.-])(?:8-)?\d{3}-\d{2}-\d{2}(?![\w-])"), _phone),
    (re.compile(r"(?<![\w.-])8[\s-]\d{3}[\s-]\d{3}-?\d{2}-?\d{2}(?![\w-])"), _phone),
    (re.compile(r"(?<!\w)\d{4}(?:[ -]\d{4}){2,4}(?!\w)"), _card),
    (re.compile(r"\+(\d{10,15})(?!\d)"), lambda m: f" плюс {digits(m[1])} "),
)  # fmt: skip

_NUMBERS: tuple[Rule, ...] = (
    (re.compile(rf"{_MINUS}{_SIGNS}\s?({NUMBER}){_SIZE}"), _money_before),
    (re.compile(rf"(?<![\w.,])({NUMBER}){_DASH}({NUMBER}){_SIZE}\s?({_UNIT}|{_NAMES}){_END}"), _range_of_units),
    (re.compile(rf"{_MINUS}({NUMBER}){_SIZE}\s?({_NAMES}){_END}"), _money),
    (re.compile(rf"{_MINUS}({NUMBER}){_SIZE}\s?({_UNIT}){_END}"), _measure),
    (re.compile(rf"({NUMBER})\s?({any_of(list(MAGNITUDES))})(?!\w)"), _large),
    (re.compile(r"(?<![\w.,])(\d{1,9})-?(?<=[\d-])(?:(?<=-)|(?=[а-яё]))("
                r"[йяеюхм]|ый|ий|ой|ая|ья|ое|ье|ее|ого|его|го|ому|ему|му|ым|им|ом|ем|ую|ью|ых|их|ые|ыми|ми|мя|ти|ех|ёх)(?!\w)"),
     _with_suffix),
    (re.compile(r"(?<![\w.,])(\d{1,4})-(?=[а-яё]{3})"), lambda m: combining(int(m[1]))),
    (re.compile(r"(?<![\w.,])(\d{1,3})\s+(\d{1,2})/(\d{1,3})(?![\w/])"), _mixed),
    (re.compile(r"(?<![\w/])(\d{1,3})/(\d{1,3})(?![\w/])"), _fraction),
    (re.compile(r"(?<!\d)\d+(?:[.,]\d+){2,}(?!\d)"),
     _series),
    (re.compile(rf"(?<![\w.,–-])({NUMBER})\s?[–—]\s?({NUMBER})(?![\w–-])(?:(?=\s+([а-яё]+)))?", re.IGNORECASE), _range),
    (re.compile(rf"(?<![\w.,–-])({NUMBER})-({NUMBER})(?![\w–-])(?:(?=\s+([а-яё]+)))?", re.IGNORECASE), _range),
    (re.compile(rf"(?<![\w)–—.-])-(?={NUMBER})"), lambda _: " минус "),
    (re.compile(r"(?<=\d)\s-\s(?=\d)"), lambda _: " минус "),
    (re.compile(rf"(?<![\w.,])({NUMBER})(?=\s+([а-яё]+)(?:\s+([а-яё]+))?)", re.IGNORECASE), _before_word),
    (re.compile(r"(?<=\w)-(?=\d)"), lambda _: " "),
    (re.compile(NUMBER), lambda m: f" {number(m[0], case_of(m))} "),
)  # fmt: skip

_SYMBOLS = {"&": "и", "@": "собака", "=": "равно", "×": "умножить на", "÷": "разделить на", "±": "плюс-минус", "_": ""}
_SYMBOLS |= {
    "≈": "примерно",
    "≤": "не больше",
    "≥": "не меньше",
    "+": "плюс",
    "∞": "бесконечность",
    "№": "номер",
    "°": "градусов",
}
_AFTER: tuple[Rule, ...] = (
    *ACRONYMS,
    (re.compile(r"\s/\s"), lambda _: " дробь "),
    (re.compile(f"[{re.escape(''.join(_SYMBOLS))}]"), lambda m: f" {_SYMBOLS[m[0]]} "),
    (re.compile(r"\s+([,.;:!?)])"), lambda m: m[1]),
)
_CODES_FIRST: tuple[Rule, ...] = ((LONG_CODE, lambda m: f" {digits(m[0])} "),)
_RULES = (*_CODES_FIRST, *ABBREVIATIONS, *_PHONES, *DATES, *_NUMBERS, *_AFTER)
