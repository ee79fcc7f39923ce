"""Russian nouns that stand for abbreviations: their gender and all twelve forms."""

from dataclasses import dataclass
from typing import Literal

Case = Literal["n", "g", "d", "a", "i", "p"]
Gender = Literal["m", "f", "n"]
CASES: tuple[Case, ...] = ("n", "g", "d", "a", "i", "p")
"""Nominative, genitive, dative, accusative, instrumental, prepositional: num2words' letters."""

_DECLENSIONS: dict[str, tuple[Gender, str, str]] = {
    "метр": ("m", " а у  ом е", "ы ов ам ы ами ах"),
    "ватт": ("m", " а у  ом е", "ы  ам ы ами ах"),
    "пункт": ("m", " а у  ом е", "ы ов ам ы ами ах"),
    "рубл": ("m", "ь я ю ь ём е", "и ей ям и ями ях"),
    "юан": ("m", "ь я ю ь ем е", "и ей ям и ями ях"),
    "тонн": ("f", "а ы е у ой е", "ы  ам ы ами ах"),
    "штук": ("f", "а и е у ой е", "и  ам и ами ах"),
    "тысяч": ("f", "а и е у ей е", "и  ам и ами ах"),
    "страниц": ("f", "а ы е у ей е", "ы  ам ы ами ах"),
    "част": ("f", "ь и и ь ью и", "и ей ям и ями ях"),
    "площад": ("f", "ь и и ь ью и", "и ей ям и ями ях"),
    "евро": ("m", "     ", "     "),
    "столети": ("n", "е я ю е ем и", "я й ям я ями ях"),
}


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun, with an adjective before it and words after it that stay as they are."""

    gender: Gender
    singular: tuple[str, ...]
    plural: tuple[str, ...]
    adjective: str = ""
    """The stem of an adjective of the kind ``квадратн-``; after к, г and х ы becomes и."""
    after: str = ""

    def one(self, case: Case) -> str:
        """Return the singular."""
        return self._phrase(self.singular[CASES.index(case)], self._adjective(_ADJECTIVE_ONE[self.gender], case))

    def many(self, case: Case) -> str:
        """Return the plural."""
        return self._phrase(self.plural[CASES.index(case)], self._adjective(_ADJECTIVE_MANY, case))

    def few(self) -> str:
        """Return the form after two, three and four in the nominative: ``два метра``, ``два квадратных метра``."""
        endings = "ых " * 6 if self.gender != "f" else "ые " * 6
        return self._phrase(self.singular[1], self._adjective(endings.strip(), "g"))

    def counted(self, number: int, case: Case) -> str:
        """Return the form that a whole number asks for in this case."""
        last, teens = number % 10, 10 < number % 100 < 20
        if last == 1 and not teens:
            return self.one(case)
        if case not in ("n", "a"):
            return self.many(case)
        return self.few() if last in (2, 3, 4) and not teens else self.many("g")

    def _adjective(self, endings: str, case: Case) -> str:
        if not self.adjective:
            return ""
        ending = endings.split(" ")[CASES.index(case)]
        return f"{self.adjective}{ending.replace('ы', 'и') if self.adjective[-1] in 'кгх' else ending} "

    def _phrase(self, noun: str, adjective: str) -> str:
        return f"{adjective}{noun}{self.after}"


_ADJECTIVE_ONE: dict[Gender, str] = {
    "m": "ый ого ому ый ым ом",
    "f": "ая ой ой ую ой ой",
    "n": "ое ого ому ое ым ом",
}
_ADJECTIVE_MANY = "ые ых ым ые ыми ых"


def like(model: str, stem: str, adjective: str = "", after: str = "") -> Noun:
    """Return the noun with this stem, declined as the model is."""
    gender, singular, plural = _DECLENSIONS[model]
    one, many = ([stem + ending for ending in endings.split(" ")] for endings in (singular, plural))
    return Noun(gender, tuple(one), tuple(many), adjective, after)


def listed(gender: Gender, singular: str, plural: str) -> Noun:
    """Return the noun with these forms, case by case."""
    return Noun(gender, tuple(singular.split()), tuple(plural.split()))


YEAR = listed("m", "год года году год годом годе", "годы лет годам годы годами годах")
PERSON = listed(
    "m",
    "человек человека человеку человека человеком человеке",
    "люди человек людям человек людьми людях",
)
KOPECK = listed(
    "f", "копейка копейки копейке копейку копейкой копейке", "копейки копеек копейкам копейки копейками копейках"
)
RUBLE, DOLLAR, CENT = like("рубл", "рубл"), like("метр", "доллар"), like("метр", "цент")
EURO, POUND, PENNY = like("евро", "евро"), like("метр", "фунт"), like("метр", "пенс")
YUAN, YEN = like("юан", "юан"), like("тонн", "иен")
HRYVNIA = listed("f", "гривна гривны гривне гривну гривной гривне", "гривны гривен гривнам гривны гривнами гривнах")
TENGE = like("евро", "тенге")
THOUSAND, MILLION = like("тысяч", "тысяч"), like("метр", "миллион")
BILLION, TRILLION = like("метр", "миллиард"), like("метр", "триллион")
HOUR, MINUTE, SECOND = like("метр", "час"), like("тонн", "минут"), like("тонн", "секунд")
CENTURY = listed("m", "век века веку век веком веке", "века веков векам века веками веках")

_METRIC = {"к": ("кило", "k"), "": ("", ""), "с": ("санти", "c"), "м": ("милли", "m"), "д": ("деци", "d")}


def _units() -> dict[str, Noun]:
    """Return the units of measure by their Russian and Latin abbreviations."""
    units: dict[str, Noun] = {}
    for short, (prefix, latin) in _METRIC.items():
        metre = prefix + "метр"
        units |= dict.fromkeys((f"{short}м", f"{latin}m"), like("метр", metre))
        squares = (f"{short}м2", f"{latin}m2", f"кв. {short}м", f"кв.{short}м")
        units |= dict.fromkeys(squares, like("метр", metre, "квадратн"))
        cubes = (f"{short}м3", f"{latin}m3", f"куб. {short}м", f"куб.{short}м")
        units |= dict.fromkeys(cubes, like("метр", metre, "кубическ"))
    for short, latin, stem in (("г", "g", "грамм"), ("кг", "kg", "килограмм"), ("мг", "mg", "миллиграмм")):
        units |= dict.fromkeys((short, latin), like("метр", stem))
    for short, latin, stem in (("л", "l", "литр"), ("мл", "ml", "миллилитр")):
        units |= dict.fromkeys((short, latin), like("метр", stem))
    sizes = (("К", "K", "кило"), ("М", "M", "мега"), ("Г", "G", "гига"), ("Т", "T", "тера"))
    for short, latin, prefix in sizes:
        units |= dict.fromkeys((f"{short}Б", f"{short}б", f"{latin}B"), like("ватт", prefix + "байт"))
        units |= {f"{short}бит/с": like("ватт", prefix + "бит", after=" в секунду")}
        units |= {f"{latin}bps": like("ватт", prefix + "бит", after=" в секунду")}
    for short, latin, prefix in (("", "", ""), ("к", "k", "кило"), ("М", "M", "мега"), ("Г", "G", "гига")):
        units |= dict.fromkeys((f"{short}Гц", f"{latin}Hz"), like("ватт", prefix + "герц"))
        units |= dict.fromkeys((f"{short}Вт", f"{latin}W"), like("ватт", prefix + "ватт"))
    return units


UNITS: dict[str, Noun] = {
    **_units(),
    **dict.fromkeys(("т", "тн"), like("тонн", "тонн")),
    **dict.fromkeys(("ч", "ч.", "час."), HOUR),
    **dict.fromkeys(("мин", "мин.", "min"), MINUTE),
    **dict.fromkeys(("с", "сек", "сек.", "s", "sec"), SECOND),
    **dict.fromkeys(("мс", "ms"), like("тонн", "миллисекунд")),
    **dict.fromkeys(("км/ч", "km/h"), like("метр", "километр", after=" в час")),
    **dict.fromkeys(("м/с", "m/s"), like("метр", "метр", after=" в секунду")),
    **dict.fromkeys(("кВт·ч", "кВт*ч", "кВтч", "kWh"), like("метр", "киловатт-час")),
    **dict.fromkeys(("°C", "°С", "℃"), like("метр", "градус", after=" Цельсия")),
    **dict.fromkeys(("°F",), like("метр", "градус", after=" Фаренгейта")),
    "°": like("метр", "градус"),
    "%": like("метр", "процент"),
    "‰": like("евро", "промилле"),
    **dict.fromkeys(("В", "V"), like("ватт", "вольт")),
    "А": like("ватт", "ампер"),
    "дБ": like("ватт", "децибел"),
    "Па": like("юан", "паскал"),
    "га": like("метр", "гектар"),
    "ккал": listed("f", "килокалория килокалории килокалории килокалорию килокалорией килокалории",
                   "килокалории килокалорий килокалориям килокалории килокалориями килокалориях"),
    "пикс.": like("юан", "пиксел"),
    **dict.fromkeys(("чел.", "чел"), PERSON),
    **dict.fromkeys(("шт.", "шт"), like("штук", "штук")),
    **dict.fromkeys(("экз.",), like("метр", "экземпляр")),
    **dict.fromkeys(("дн.",), listed("m", "день дня дню день днём дне", "дни дней дням дни днями днях")),
    **dict.fromkeys(("нед.",), listed("f", "неделя недели неделе неделю неделей неделе",
                                      "недели недель неделям недели неделями неделях")),
    **dict.fromkeys(("мес.",), listed("m", "месяц месяца месяцу месяц месяцем месяце",
                                      "месяцы месяцев месяцам месяцы месяцами месяцах")),
}  # fmt: skip

MONEY: dict[str, tuple[Noun, Noun | None]] = {
    **dict.fromkeys(("руб.", "руб", "₽", "р.", "RUB"), (RUBLE, KOPECK)),
    **dict.fromkeys(("$", "долл.", "USD"), (DOLLAR, CENT)),
    **dict.fromkeys(("€", "EUR"), (EURO, CENT)),
    **dict.fromkeys(("£", "GBP"), (POUND, PENNY)),
    **dict.fromkeys(("¥", "CNY"), (YUAN, None)),
    "JPY": (YEN, None),
    **dict.fromkeys(("грн.", "грн", "₴", "UAH"), (HRYVNIA, KOPECK)),
    **dict.fromkeys(("₸", "KZT"), (TENGE, None)),
    **dict.fromkeys(("коп.", "коп"), (KOPECK, None)),
}
MAGNITUDES: dict[str, Noun] = {
    **dict.fromkeys(("тыс.", "тыс"), THOUSAND),
    **dict.fromkeys(("млн", "млн.", "миллион"), MILLION),
    **dict.fromkeys(("млрд", "млрд."), BILLION),
    **dict.fromkeys(("трлн", "трлн."), TRILLION),
}
