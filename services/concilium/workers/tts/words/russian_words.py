"""Russian abbreviations, letters and Roman numerals as words."""

import re

from concilium.workers.tts.words.digits import Rule, any_of, each, roman
from concilium.workers.tts.words.russian_context import word_before
from concilium.workers.tts.words.russian_nouns import Case, Gender, Noun, like, listed
from concilium.workers.tts.words.russian_numbers import ordinal

_ALWAYS = {
    "т. е.": "то есть",
    "т.е.": "то есть",
    "и т. д.": "и так далее",
    "и т.д.": "и так далее",
    "и др.": "и другие",
    "и т. п.": "и тому подобное",
    "и т.п.": "и тому подобное",
    "т. к.": "так как",
    "т.к.": "так как",
    "и пр.": "и прочее",
    "т. о.": "таким образом",
    "т.о.": "таким образом",
    "т. н.": "так называемый",
    "т.н.": "так называемый",
    "до н. э.": "до нашей эры",
    "до н.э.": "до нашей эры",
    "н. э.": "нашей эры",
    "н.э.": "нашей эры",
    "см.": "смотри",
    "ср.": "сравни",
    "напр.": "например",
    "им.": "имени",
    "ок.": "около",
    "проф.": "профессор",
    "акад.": "академик",
    "доц.": "доцент",
    "тел.": "телефон",
    "г-н": "господин",
    "г-жа": "госпожа",
    "кол-во": "количество",
    "ж/д": "железнодорожный",
    "с/х": "сельскохозяйственный",
    "зам.": "заместитель",
    "и. о.": "исполняющий обязанности",
    "и.о.": "исполняющий обязанности",
    "макс.": "максимум",
    "мин. знач.": "минимум",
    "адм.": "административный",
    "вкл.": "включая",
    "т. ч.": "том числе",
    "т.ч.": "том числе",
}
_STREETS: dict[str, Noun] = {
    "г.": listed("m", "город города городу город городом городе",
                 "города городов городам города городами городах"),
    "ул.": listed("f", "улица улицы улице улицу улицей улице",
                  "улицы улиц улицам улицы улицами улицах"),
    **dict.fromkeys(("пр-т", "просп."), like("метр", "проспект")),
    "пл.": like("площад", "площад"),
    "пер.": listed("m", "переулок переулка переулку переулок переулком переулке",
                   "переулки переулков переулкам переулки переулками переулках"),
    "обл.": like("площад", "област"),
    "р-н": like("метр", "район"),
    "о.": listed("m", "остров острова острову остров островом острове",
                 "острова островов островам острова островами островах"),
}  # fmt: skip
_NUMBERED: dict[str, Noun] = {
    **dict.fromkeys(("№", "#"), listed("m", "номер номера номеру номер номером номере",
                                       "номера номеров номерам номера номерами номерах")),
    "§": like("метр", "параграф"),
    **dict.fromkeys(("стр.", "с."), like("страниц", "страниц")),
    "гл.": like("тонн", "глав"),
    "рис.": listed("m", "рисунок рисунка рисунку рисунок рисунком рисунке",
                   "рисунки рисунков рисункам рисунки рисунками рисунках"),
    "табл.": like("страниц", "таблиц"),
    "п.": like("пункт", "пункт"),
    "ст.": listed("f", "статья статьи статье статью статьёй статье",
                  "статьи статей статьям статьи статьями статьях"),
    "ч.": like("част", "част"),
    "т.": like("метр", "том"),
    "д.": listed("m", "дом дома дому дом домом доме", "дома домов домам дома домами домах"),
    "кв.": like("тонн", "квартир"),
    "корп.": like("метр", "корпус"),
    "оф.": like("метр", "офис"),
    "вып.": like("метр", "выпуск"),
}  # fmt: skip

_PLACE: dict[str, Case] = {
    **dict.fromkeys(["в", "во", "на", "о", "об", "при"], "p"),
    **dict.fromkeys(each("из от до у для без с со около после"), "g"),
    **dict.fromkeys(["к", "ко", "по", "согласно"], "d"),
    **dict.fromkeys(["над", "под", "перед", "между", "за"], "i"),
}

_LETTER_NAMES = each(
    "а бэ вэ гэ дэ е ё жэ зэ и й ка эль эм эн о пэ эр эс тэ у эф ха цэ чэ ша ща твёрдый ы мягкий э ю я"
)
_NAMES = dict(zip("АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ", _LETTER_NAMES, strict=True))
_LETTERS = frozenset(each("США РФ ЕС ИП АО ООО ЗАО ОАО АЭС ЭВМ ИИ УК ПО ЧП АТС ФИО ОЭСР ЕГЭ ЛГУ МГУ УФСБ ГИБДД ФГУП"))
_SAID = {"ФИО": "фамилия, имя, отчество", "США": "сэ шэ а", "РФ": "эр эф", "ПО": "пэ о", "ОЭСР": "о э эс эр"}

_MONARCHS = (
    *(("Пётр", "Петр"), ("Николай", "Никола"), ("Александр", "Александр"), ("Иван", "Иван"), ("Павел", "Павл")),
    *(("Екатерина", "Екатерин"), ("Елизавета", "Елизавет"), ("Людовик", "Людовик"), ("Генрих", "Генрих")),
    *(("Карл", "Карл"), ("Фридрих", "Фридрих"), ("Георг", "Георг"), ("Вильгельм", "Вильгельм"), ("Филипп", "Филипп")),
)
_HE: dict[str, Case] = {"": "n", "й": "n", "а": "g", "я": "g", "у": "d", "ю": "d", "ом": "i", "ем": "i", "е": "p"}
_SHE: dict[str, Case] = {"а": "n", "ы": "g", "е": "d", "у": "a", "ой": "i"}
_ADJECTIVES: dict[str, tuple[Case, Gender]] = {
    "ая": ("n", "f"),
    "ую": ("a", "f"),
    "ой": ("g", "f"),
    "ый": ("n", "m"),
    "ий": ("n", "m"),
    "ого": ("g", "m"),
    "ому": ("d", "m"),
    "ом": ("p", "m"),
    "ым": ("i", "m"),
    "ое": ("n", "n"),
}
_ROMAN_NOUNS: dict[str, Gender] = {"глава": "f", "часть": "f", "том": "m", "раздел": "m", "класс": "m", "тур": "m"}


def letter_names(word: str) -> str:
    """Return the names of a word's Cyrillic letters; other characters stay."""
    return " ".join(_NAMES.get(letter, letter) for letter in word.upper())


def _place(m: re.Match[str]) -> str:
    return f"{_STREETS[m[1].lower()].one(_PLACE.get(word_before(m), 'n'))} "


def _numbered(m: re.Match[str]) -> str:
    return f" {_NUMBERED[m[1].lower()].one(_PLACE.get(word_before(m), 'n'))} "


def _always(m: re.Match[str]) -> str:
    short = " ".join(m[0].split())
    said = _ALWAYS.get(short) or _ALWAYS[short.lower()]
    said = said[0].upper() + said[1:] if m[0][0].isupper() else said
    return said + ("." if m[0].endswith(".") and not m.string[m.end() :].strip() else "")


def _acronym(m: re.Match[str]) -> str:
    word = m[0]
    if word in _SAID:
        return _SAID[word]
    shouting = m.string.isupper() and len(m.string.split()) > 2
    if shouting or (word not in _LETTERS and re.search("[АЕЁИОУЫЭЮЯ]", word)):
        return word
    return letter_names(word)


def _monarch(m: re.Match[str]) -> str:
    name, value = m[1], roman(m[2])
    for nominative, stem in _MONARCHS:
        if name == nominative or name.replace("ё", "е").startswith(stem):
            she = nominative.endswith("а")
            ending = "" if name == nominative and not she else name[len(stem) :]
            case = (_SHE if she else _HE).get("а" if name == nominative and she else ending)
            if case and value:
                return f"{name} {ordinal(value, case, 'f' if she else 'm')}"
    return m[0]


def _before_adjective(m: re.Match[str]) -> str:
    case, gender = _ADJECTIVES[m[3]]
    value = roman(m[1])
    return f"{ordinal(value, case, gender)} {m[2]}{m[3]}" if value else m[0]


def _after_noun(m: re.Match[str]) -> str:
    value = roman(m[2])
    return f"{m[1]} {ordinal(value, 'n', _ROMAN_NOUNS[m[1].lower()])}" if value else m[0]


_I = re.IGNORECASE
_NAMES_PATTERN = "|".join(sorted({n for pair in _MONARCHS for n in pair}, key=len, reverse=True))
_SHORT = any_of([*_ALWAYS]).replace(r"\ ", r"\s+")
ABBREVIATIONS: tuple[Rule, ...] = (
    (re.compile(rf"(?<![\w.]){_SHORT}(?!\w)", _I), _always),
    (re.compile(r"(?<!\w)(№|#|§)+\s?(?=\d)"), _numbered),
    (re.compile(rf"(?<![\w.])({any_of([k for k in _NUMBERED if k.endswith('.')])})\s?(?=\d)", _I), _numbered),
    (re.compile(rf"(?<![\w.\d] )(?<![\w.])({any_of(list(_STREETS))})\s?(?=[А-ЯЁ])"), _place),
    (re.compile(rf"(?<=[а-яёА-ЯЁ] )({any_of(list(_STREETS))})\s?(?=[А-ЯЁ])"), _place),
    (re.compile(rf"\b((?:{_NAMES_PATTERN})[а-яё]{{0,2}})\s+([IVX]+)\b"), _monarch),
    (re.compile(rf"\b([IVX]+)\s+([а-яё]{{3,}}?)({'|'.join(_ADJECTIVES)})(?!\w)"), _before_adjective),
    (re.compile(rf"\b({'|'.join(_ROMAN_NOUNS)})\s+([IVX]+)\b", _I), _after_noun),
)
ACRONYMS: tuple[Rule, ...] = ((re.compile(r"(?<![\w-])[А-ЯЁ]{2,6}(?!\w)"), _acronym),)
