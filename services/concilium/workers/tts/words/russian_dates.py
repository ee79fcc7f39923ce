"""Russian dates, years, centuries and times of day as words."""

import re

from concilium.workers.tts.words.digits import Rule, each, roman
from concilium.workers.tts.words.russian_context import case_of, word_before
from concilium.workers.tts.words.russian_nouns import CENTURY, HOUR, YEAR, Case
from concilium.workers.tts.words.russian_numbers import cardinal, number, ordinal

MONTHS = each("января февраля марта апреля мая июня июля августа сентября октября ноября декабря")
_MONTH = rf"({'|'.join(MONTHS)})"
_YEAR_TAIL = r"(?:\s+(\d{4})(?!\d)(?:\s*(?:года|г\.?)(?!\w))?)?"
_DASH = r"\s?[–—-]\s?"
_YEAR_FORMS: dict[str, Case] = {"год": "n", "года": "g", "году": "p", "годом": "i", "годе": "p"}
_YEARS_FORMS: dict[str, Case] = {"годы": "n", "годов": "g", "годам": "d", "годами": "i", "годах": "p"}
_CENTURY_FORMS: dict[str, Case] = {"век": "n", "века": "g", "веку": "d", "веком": "i", "веке": "p"}
_CENTURY_FORMS |= {"столетие": "n", "столетия": "g", "столетию": "d", "столетием": "i", "столетии": "p"}
_PART_OF = frozenset(
    each("начала начале начало конца конце конец середины середине середина половины половине половина")
)
_PART_OF |= frozenset(["четверти", "четверть", "лет", "года", "событий"])


def _day_case(m: re.Match[str]) -> Case:
    """A date by itself says when something is and stands in the genitive; some prepositions ask for another case."""
    before = word_before(m)
    by_word: dict[str, Case] = {
        "на": "n",
        "за": "n",
        "по": "n",
        "к": "d",
        "ко": "d",
        "перед": "i",
        "между": "i",
        "о": "p",
    }
    return by_word.get(before, "g")


def _year_end(text: str | None) -> str:
    return f" {ordinal(int(text), 'g')} года" if text and int(text) else ""


def _date(m: re.Match[str]) -> str:
    day = int(m[1])
    return f"{ordinal(day, _day_case(m), 'n')} {m[2]}{_year_end(m[3])}" if 1 <= day <= 31 else m[0]


def _numeric(day: str, month: str, year: str, m: re.Match[str]) -> str:
    if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
        return m[0]
    full = int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 50 else 1900)
    return f"{ordinal(int(day), _day_case(m), 'n')} {MONTHS[int(month) - 1]}{_year_end(str(full))}"


def _from_to(m: re.Match[str]) -> str:
    return f"с {ordinal(int(m[1]), 'g', 'n')} по {ordinal(int(m[2]), 'n', 'n')} {m[3]}{_year_end(m[4])}"


def _year(m: re.Match[str]) -> str:
    value, form = int(m[1]), m[2].lower()
    case: Case = _YEAR_FORMS[form]
    if form == "году" and word_before(m) in ("к", "ко", "по", "благодаря"):
        case = "d"
    return f"{ordinal(value, case)} {m[2]}" if value else m[0]


def _short_year(m: re.Match[str]) -> str:
    """``2024 г.``: the sentence does not show the case, the word before it does."""
    if not (value := int(m[1])):
        return m[0]
    before = word_before(m)
    cases: dict[str, Case] = {"в": "p", "во": "p", "о": "p", "об": "p", "к": "d", "ко": "d", "на": "a", "за": "a"}
    in_month = re.search(r"(?:е|[нвт]е)$", before) and before.startswith(tuple(month[:3] for month in MONTHS))
    case: Case = "g" if in_month else cases.get(before, case_of(m))
    noun = "году" if case == "p" else YEAR.one(case)
    return f"{ordinal(value, case)} {noun}{_stop(m)}"


def _years(m: re.Match[str]) -> str:
    form = m[3].lower().rstrip(".")
    case: Case = _YEARS_FORMS.get(form, "n")
    if form == "гг":
        before = word_before(m)
        case = "p" if before in ("в", "во") else case_of(m)
    ends = " ".join((ordinal(int(m[1]), case), "-", ordinal(int(m[2]), case)))
    return f"{ends} {YEAR.many(case)}{_stop(m) if form == 'гг' else ''}"


def _stop(m: re.Match[str]) -> str:
    return "." if m[0].endswith(".") and not m.string[m.end() :].strip() else ""


def _century_case(m: re.Match[str], form: str) -> Case:
    if form in _CENTURY_FORMS:
        return _CENTURY_FORMS[form]
    before = word_before(m)
    if before in _PART_OF:
        return "g"
    cases: dict[str, Case] = {"в": "p", "во": "p", "о": "p"}
    return cases.get(before, case_of(m))


def _century(m: re.Match[str]) -> str:
    value, form = roman(m[1]), m[2].lower().rstrip(".")
    if not value:
        return m[0]
    case = _century_case(m, form)
    neuter = form.startswith("столети")
    noun = CENTURY.one(case) if form == "в" else m[2]
    return f"{ordinal(value, case, 'n' if neuter else 'm')} {noun}{_stop(m) if form == 'в' else ''}"


def _centuries(m: re.Match[str]) -> str:
    low, high, form = roman(m[1]), roman(m[2]), m[3].lower().rstrip(".")
    if not (low and high):
        return m[0]
    forms: dict[str, Case] = {"века": "n", "веков": "g", "векам": "d", "веками": "i", "веках": "p"}
    case = forms.get(form) or ("p" if word_before(m) in ("в", "во") else case_of(m))
    if form == "вв" and word_before(m) in _PART_OF:
        case = "g"
    return f"{ordinal(low, case)} - {ordinal(high, case)} {CENTURY.many(case)}{_stop(m) if form == 'вв' else ''}"


def _time(m: re.Match[str]) -> str:
    hour, minute, second = int(m[1]), int(m[2]), int(m[3]) if m[3] else None
    if hour > 24 or minute > 59 or (second or 0) > 59:
        return m[0]
    case = case_of(m)
    case = "n" if case in ("a", "p") else case
    if not minute and not second:
        return f" {cardinal(hour, case)} {HOUR.counted(hour, case)} "
    said = f"{cardinal(hour, case)} {'ноль ' if minute < 10 else ''}{cardinal(minute, case)}"
    return f" {said} {'ноль ' if second < 10 else ''}{cardinal(second, case)} " if second is not None else f" {said} "


def _score(m: re.Match[str]) -> str:
    return f" {number(m[1])} {number(m[2])} "


_I = re.IGNORECASE
DATES: tuple[Rule, ...] = (
    (re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)(?:T(?=\d))?"), lambda m: _numeric(m[3], m[2], m[1], m)),
    (re.compile(r"(?<![\d.])(\d{1,2})[./](\d{1,2})[./](\d{4}|\d{2})(?![\d.]*\d)(?:\s*(?:года|г\.?)(?!\w))?"),
     lambda m: _numeric(m[1], m[2], m[3], m) + _stop(m)),
    (re.compile(rf"\bс\s+(\d{{1,2}})\s+по\s+(\d{{1,2}})\s+{_MONTH}{_YEAR_TAIL}", _I), _from_to),
    (re.compile(rf"(?<![\w–—-])(\d{{1,2}}){_DASH}(\d{{1,2}})\s+{_MONTH}{_YEAR_TAIL}", _I), _from_to),
    (re.compile(rf"(?<![\w–—-])(\d{{1,2}})(?:-?го|-?е)?\s+{_MONTH}(?!\w){_YEAR_TAIL}", _I), _date),
    (re.compile(rf"(?<!\d)(\d{{4}}){_DASH}(\d{{4}})\s*(гг\.?|годы|годов|годам|годами|годах)(?!\w)", _I), _years),
    (re.compile(r"(?<!\d)([12]\d{3})\s*(год|года|году|годом|годе)(?!\w)", _I), _year),
    (re.compile(r"(?<!\d)([12]\d{3})\s*г\.?(?!\w)"), _short_year),
    (re.compile(rf"\b([IVX]+){_DASH}([IVX]+)\s+(вв\.|вв|века|веков|векам|веками|веках)(?!\w)"), _centuries),
    (re.compile(r"\b([IVX]+)\s+(в\.|век|века|веку|веком|веке|столети(?:е|я|ю|ем|и))(?!\w)"), _century),
    (re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])"), _time),
    (re.compile(r"(?<![\d:])(\d{1,3}):(\d{1,3})(?![\d:])"), _score),
)  # fmt: skip
