"""English: numbers, dates, times, money, units and abbreviations as words."""

import re

from concilium.workers.tts.words.digits import LONG_CODE, Rule, any_of, apply, roman
from concilium.workers.tts.words.english_dates import DATES, year
from concilium.workers.tts.words.english_numbers import cardinal, digits, number, ordinal
from concilium.workers.tts.words.english_tables import (
    ABBREVIATIONS,
    BEFORE_NUMBER,
    LETTERS,
    MAGNITUDES,
    MONEY,
    UNITS,
)

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?)"
RANGE = r"\s?[–—-]\s?"
_CODES = any_of([name for name in MONEY if name.isalpha()])
_SIGNS = any_of([name for name in MONEY if not name.isalpha()])
_SIZE = rf"(?:\s?({any_of(list(MAGNITUDES))})\b)?"
_MINUS = r"(?<![\w)–—-])(-?)"


def english(text: str) -> str:
    """Return the sentence with everything that is no word written out."""
    return apply(_RULES, text)


def _money(amount: str, size: str | None, name: str) -> str:
    one, many, coin, coins = MONEY[name]
    if size:
        return f"{number(amount)} {MAGNITUDES[size]} {many}"
    whole, _, part = amount.replace(",", "").partition(".")
    part = part.ljust(2, "0") if part else ""
    if len(part) != 2 or not coin:
        return f"{number(amount)} {one if amount == '1' else many}"
    notes, change = int(whole), int(part)
    said = [f"{cardinal(notes)} {one if notes == 1 else many}"] if notes or not change else []
    said += [f"{cardinal(change)} {coin if change == 1 else coins}"] if change else []
    return " and ".join(said)


def _signed_money(m: re.Match[str]) -> str:
    return f" {'minus ' if m[1] else ''}{_money(m[3], m[4], m[2])} "


def _money_range(m: re.Match[str]) -> str:
    return f" {number(m[2])} to {_money(m[3], m[4], m[1])} "


def _unit(amount: str, name: str) -> str:
    one, many = UNITS[name].split(" ", 1) if "+" not in UNITS[name] else _two(UNITS[name])
    return f"{number(amount)} {(one if amount == '1' else many).replace('+', ' ')}"


def _two(names: str) -> tuple[str, str]:
    """Return singular and plural of a name of several words: the blank in the middle parts them."""
    words = names.split(" ")
    half = len(words) // 2
    return " ".join(words[:half]), " ".join(words[half:])


def _phone(m: re.Match[str]) -> str:
    groups = re.findall(r"\d+", m[0])
    plus = "plus " if m[0].lstrip().startswith("+") else ""
    return f" {plus}{', '.join(digits(group) for group in groups)} "


def _fraction(over: int, under: int) -> str:
    if under == 0 or over >= under or under > 100:
        return f"{cardinal(over)} over {cardinal(under)}"
    if under == 2:
        return "one half"
    name = "quarter" if under == 4 else ordinal(under)
    return f"{cardinal(over)} {name}{'' if over == 1 else 's'}"


def _mixed(m: re.Match[str]) -> str:
    part = _fraction(int(m[2]), int(m[3]))
    return f" {cardinal(int(m[1]))} and {'a half' if part == 'one half' else part} "


def _range(m: re.Match[str]) -> str:
    low, high = m[1], m[2]
    if all(re.fullmatch(r"1[1-9]\d\d|20\d\d", end) for end in (low, high)):
        return f" {year(int(low))} to {year(int(high))} "
    return f" {number(low)} to {number(high)} "


def _decade(m: re.Match[str]) -> str:
    value = int(m[1])
    if value < 100:
        return f" {cardinal(value).removesuffix('y')}ies "
    if value % 100 == 0:
        return f" {cardinal(value) if value % 1000 == 0 else year(value)}s "
    return f" {year(value).removesuffix('y')}ies "


def _letters(m: re.Match[str]) -> str:
    word = m[1]
    shouting = m.string.isupper() and len(m.string.split()) > 2
    if shouting or (word not in LETTERS and re.search("[AEIOUY]", word)):
        return m[0]
    return " ".join(word) + (m[2] and " " + m[2])


def _chapter(m: re.Match[str]) -> str:
    value = roman(m[2])
    return f"{m[1]} {cardinal(value)}" if value else m[0]


def _monarch(m: re.Match[str]) -> str:
    value = roman(m[2])
    return f"{m[1]} the {ordinal(value)}" if value else m[0]


def _version(m: re.Match[str]) -> str:
    parts = (digits(part) if len(part) > 1 and part.startswith("0") else number(part) for part in m[0].split("."))
    return f" {' point '.join(parts)} "


def _short(m: re.Match[str]) -> str:
    end = "." if m[0].endswith(".") and not m.string[m.end() :].strip() else ""
    return ABBREVIATIONS[m[0]] + end


_SYMBOLS = {"&": "and", "@": "at", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus", "≈": "about"}
_SYMBOLS |= {"≤": "at most", "≥": "at least", "+": "plus", "∞": "infinity", "©": "copyright", "°": "degrees", "_": ""}

_AFTER_PRONOUN = (
    "will would am have can could should shall must may might do don did think know want need hope feel like love agree"
    " believe guess suppose see say said saw told"
)
_PRONOUN = rf"(?!I(?:\s{any_of(_AFTER_PRONOUN.split())}\b|['’]))"
"""Before a numeral: it is no "I" of somebody who speaks."""

_BEFORE: tuple[Rule, ...] = (
    (re.compile(rf"(?<![\w.]){any_of(list(ABBREVIATIONS))}(?!\w)"), _short),
    (re.compile(rf"(?<!\w)({any_of(list(BEFORE_NUMBER))})\s?(?=\d)"), lambda m: f" {BEFORE_NUMBER[m[1]]} "),
    (re.compile(r"\bSt\.\s(?=[A-Z])"), lambda _: "Saint "),
    (re.compile(r"(?<=[a-z] )St\.(?!\w)"), lambda _: "Street"),
    (re.compile(r"\b([Cc]hapter|[Pp]art|[Vv]olume|[Aa]ct|War)\s" + _PRONOUN + r"([IVXLC]+)\b"), _chapter),
    (re.compile(r"\b(Elizabeth|Henry|Louis|Charles|George|William|Edward|Richard|Nicholas|Peter|Paul|Catherine|John)"
                r"\s" + _PRONOUN + r"([IVX]+)\b"), _monarch),
)  # fmt: skip

_PHONES: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w.])\+\d{1,3}(?:[\s.-]?\(?\d{2,5}\)?){2,5}(?!\w)"), _phone),
    (re.compile(r"(?<![\w.])(?:\d[\s-])?\(\d{3}\)\s?\d{3}[\s-]\d{4}(?!\w)"), _phone),
    (re.compile(r"(?<![\w.$£€-])(?:\d-)?(?:\d{3}-)?\d{3}-\d{4}(?![\w-])"), _phone),
    (re.compile(r"(?<![\w.])\d{1,2}-\d{3}-\d{3}-\d{2}-\d{2}(?!\w)"), _phone),
    (re.compile(r"(?<!\w)\d{4}(?:[ -]\d{4}){2,4}(?!\w)"), _phone),
    (re.compile(r"\b((?:[Cc]all|[Dd]ial|[Pp]hone)\s)(\d{3,6})\b"), lambda m: m[1] + digits(m[2])),
)

_UNIT = any_of(list(UNITS))
_NUMBERS: tuple[Rule, ...] = (
    (re.compile(r"\b24/7\b"), lambda _: "twenty-four seven"),
    (re.compile(rf"({_SIGNS})\s?({NUMBER}){RANGE}(?:\1)?({NUMBER}){_SIZE}"), _money_range),
    (re.compile(rf"{_MINUS}({_SIGNS})\s?({NUMBER}){_SIZE}"), _signed_money),
    (re.compile(rf"\b({_CODES})\s({NUMBER}){_SIZE}"), lambda m: f" {_money(m[2], m[3], m[1])} "),
    (re.compile(rf"({NUMBER}){_SIZE}\s?({_CODES}\b|{_SIGNS})"), lambda m: f" {_money(m[1], m[2], m[3])} "),
    (re.compile(r"(?<![\w.])['’]?(1[1-9]\d0|20\d0|(?<=the )[2-9]0|(?<=['’])[2-9]0)['’]?s\b"), _decade),
    (re.compile(rf"({NUMBER}){RANGE}({NUMBER})\s?({_UNIT})(?![\w/])"),
     lambda m: f" {number(m[1])} to {_unit(m[2], m[3])} "),
    (re.compile(rf"{_MINUS}({NUMBER})\s?({_UNIT})(?![\w/])"),
     lambda m: f" {'minus ' if m[1] else ''}{_unit(m[2], m[3])} "),
    (re.compile(r"(?<![\d.,])(\d{1,15})(?:st|nd|rd|th)\b"), lambda m: f" {ordinal(int(m[1]))} "),
    (re.compile(r"\b(\d{1,3})\s+(\d{1,2})/(\d{1,3})\b"), _mixed),
    (re.compile(r"(?<![\d/])(\d{1,3})/(\d{1,3})(?![\d/])"), lambda m: f" {_fraction(int(m[1]), int(m[2]))} "),
    (re.compile(r"(?<!\d)(\d+)((?:\.\d+){2,})(?!\d)"), _version),
    (re.compile(rf"(?<![\w.,–-])({NUMBER})(?:–|—|-)({NUMBER})(?![\w–-])"), _range),
    (re.compile(rf"(?<![\w.,–-])({NUMBER})\s[–—]\s({NUMBER})(?![\w–-])"), _range),
    (re.compile(r"\b((?:[Ii]n|[Ss]ince|[Bb]y|[Ff]rom|[Uu]ntil|[Tt]ill|[Bb]efore|[Aa]fter|[Yy]ear|[Oo]f|[Dd]uring|to)\s)"
                r"(1[1-9]\d\d|20\d\d)(?![\w,.:/]?\d)\b"), lambda m: m[1] + year(int(m[2]))),
    (re.compile(rf"({NUMBER})\s?({any_of(['k', 'K', 'M', 'bn'])})\b"),
     lambda m: f" {number(m[1])} {MAGNITUDES[m[2]]} "),
    (re.compile(rf"(?<![\w)–—.-])-(?={NUMBER}|\.\d)"), lambda _: " minus "),
    (re.compile(r"(?<=\d)\s-\s(?=\d)"), lambda _: " minus "),
    (re.compile(r"(?<=\w)-(?=\d)"), lambda _: " "),
    (re.compile(r"(?<![\w.])\.(\d+)"), lambda m: f" point {digits(m[1])} "),
    (re.compile(NUMBER), lambda m: f" {number(m[0])} "),
)  # fmt: skip

_AFTER: tuple[Rule, ...] = (
    (re.compile(r"(?<=[a-z])-\s|\s-(?=[a-z])"), lambda _: " "),
    (re.compile(r"\b([A-Z]{2,6})(s?)\b"), _letters),
    (re.compile(r"\s/\s"), lambda _: " slash "),
    (re.compile(f"[{re.escape(''.join(_SYMBOLS))}]"), lambda m: f" {_SYMBOLS[m[0]]} "),
    (re.compile(r"\s+([,.;:!?)])"), lambda m: m[1]),
)


_CODES_FIRST: tuple[Rule, ...] = ((LONG_CODE, lambda m: f" {digits(m[0])} "),)
_RULES = (*_CODES_FIRST, *_BEFORE, *DATES, *_PHONES, *_NUMBERS, *_AFTER)
