"""What stands around a number in a Russian sentence, and which case and gender it asks for."""

import re

from concilium.workers.tts.words.digits import each
from concilium.workers.tts.words.russian_nouns import Case, Gender
from concilium.workers.tts.words.russian_numbers import is_one

_GOVERNS: dict[str, Case] = {
    **dict.fromkeys(
        each(
            "без для до из от около у после кроме против свыше порядка менее более больше меньше вокруг вместо "
            "ради среди старше младше выше ниже дороже дешевле течение протяжении размере количестве возрасте "
            "длиной шириной высотой весом объёмом ценой стоимостью с со ото изо"
        ),
        "g",
    ),
    **dict.fromkeys(each("к ко благодаря согласно вопреки навстречу равно равен равна равняется"), "d"),
    **dict.fromkeys(["между", "над", "перед", "под", "надо", "передо"], "i"),
    **dict.fromkeys(["о", "об", "обо", "при"], "p"),
    **dict.fromkeys(each("в во на через за про спустя по"), "a"),
}
_WORD_BEFORE = re.compile(r"([а-яё]+)\s*$", re.IGNORECASE)
_NO_ENDINGS = frozenset(each("там сам вам нам дам прах страх взмах размах экзамен"))

_FEMININE = each(
    "книг минут секунд недел стран комнат групп компани машин задач строк строч страниц глав попыт ошиб тысяч "
    "копе женщин девоч девуш сестр дочер рук ног букв цифр точк точе сторон школ улиц квартир зим осен весн чаш "
    "лож бутыл тонн штук мил кош собак птиц рыб звезд звёзд иде верси функци программ ссыл картин фотограф песн "
    "област встреч половин трет четверт ноч част реч двер сет мышь цел ступен ведомост скорост возможност новост "
    "страниц просьб подруг операци станци позици порци лекци акци линии лини сери секци фамили истори"
)
_MASCULINE_A = ("мужчин", "папа", "папы", "дедушк", "дяд", "судь", "юнош", "коллег")
_MASCULINE_I = ("пути", "мужчины", "судьи", "коллеги", "юноши", "дедушки", "дяди")
_NEUTER_I = ("времени", "имени", "племени", "знамени")


def word_before(m: re.Match[str]) -> str:
    """Return the word just before a match, in small letters; empty when something else stands between."""
    found = _WORD_BEFORE.search(m.string, 0, m.start())
    return found[1].lower() if found else ""


def case_of(m: re.Match[str], following: str = "", value: int = 0) -> Case:
    """Return the case of a number from the word before it and the ending of the word after it.

    "С пятью друзьями" and "с пяти часов" differ only in the noun, so a clear plural ending counts for more than the
    preposition.
    """
    before = word_before(m)
    word = following.lower()
    if len(word) > 3 and word not in _NO_ENDINGS:
        if word.endswith(("ами", "ями", "ьми")):
            return "i"
        if word.endswith(("ах", "ях")):
            return "p"
        if word.endswith(("ам", "ям")):
            return "d"
    if before == "по" and is_one(value):
        return "d"
    if before not in _GOVERNS and is_one(value) and word.endswith(("у", "ю")) and word.startswith(_FEMININE):
        return "a"
    return _GOVERNS.get(before, "n")


def gender_of(value: int, first: str, second: str, case: Case) -> Gender:
    """Return the gender of a number that ends in one or two, from the noun (or adjective and noun) after it."""
    word, last = first.lower(), value % 10
    if last not in (1, 2) or value % 100 in (11, 12) or not word:
        return "m"
    if last == 1:
        return _gender_after_one(word, second.lower(), case)
    if word.endswith(("ые", "ие")) and second:
        return "f"
    if word.endswith(("ых", "их")) and second:
        return "f" if second.lower().endswith(("ы", "и")) and case in ("n", "a") else "m"
    return "f" if word.endswith(("ы", "и")) and word not in (*_MASCULINE_I, *_NEUTER_I) else "m"


def _gender_after_one(word: str, second: str, case: Case) -> Gender:
    if word.endswith(("ое", "ее")) and second:
        return "n"
    if word.endswith(("ый", "ий")) or word.startswith(_MASCULINE_A):
        return "m"
    if word.endswith(("ая", "яя", "ую", "юю")) or word.startswith(_FEMININE):
        return "f"
    if word.endswith(("а", "я")):
        return "n" if word.endswith("мя") else "m" if case == "g" else "f"
    if case in ("n", "a"):
        return "n" if word.endswith(("о", "е")) else "f" if word.endswith(("у", "ю")) else "m"
    return "f" if word.endswith(("ы", "и", "ью", "ой", "ей")) else "m"
