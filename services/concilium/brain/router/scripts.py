"""Which code of a request belongs to which order, so that none is run by mistake and none is left out unasked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from concilium.brain.router import lexicon as words
from concilium.brain.router.clauses import Clause
from concilium.brain.router.material import Material

OCR, INSPECT, RUN, SPEAK = "vision.ocr", "vision.inspect", "code.run", "tts.speak"
MERGE = "document.merge"
CHECK, TEST, GENERATE = "code.check", "code.test", "code.generate"
TAKES_CODE = frozenset({RUN, CHECK, TEST, GENERATE})
_BESIDE = re.compile(r"(?:\s|[&+]|\bas well as\b|\btogether with\b|\bвместе с\b|\b(?:run|execute|запусти|выполни)\b)*")
_DEFINITE = re.compile(r"(?:^|\b(?:the|only)\s+)$")


class Unsure(Exception):
    """The rules cannot tell what is meant; ``reason`` names the question to ask."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Order:
    """One clause, what it asks for, and the numbers of the codes it runs."""

    clause: Clause
    skill: str
    codes: tuple[int, ...] = ()


def own_codes(clause: Clause, skill: str) -> tuple[int, ...]:
    """Return the codes a clause itself says to run. Raises `Unsure` when it may mean not all of them."""
    runs = skill in TAKES_CODE or (skill == SPEAK and clause.payload is None and bool(words.PRINTED.search(clause.key)))
    if not runs or not clause.codes:
        return ()
    if words.EXCEPTED.search(clause.key):
        raise Unsure("which-script")
    between = re.split(r"\x02c\d+\x03", clause.key)[1:-1]
    listed = all(_BESIDE.fullmatch(text) for text in between) or words.ALL.search(clause.key)
    if between and (not listed or words.CHOICE.search(clause.key)):
        raise Unsure("which-script")
    return clause.codes


def bind(orders: Sequence[Order], material: Material) -> None:
    """Give the codes that no clause holds to the orders that want one. Raises `Unsure`."""
    held = {n for order in orders for n in (*order.codes, *order.clause.codes, *order.clause.payload_codes)}
    loose = [n for n, _ in material.codes() if n not in held]
    wanting = _wanting(orders, material)
    if not loose or not wanting:
        return
    if len(wanting) <= len(loose) and material.scripts and not any(_names_script(o, material) for o in orders):
        raise Unsure("which-script")
    if len(loose) > 1 and any(_counts_off(order, material) for order in wanting):
        for order in wanting:
            order.codes = _picked(order, loose)
        material.used_codes.update(loose)
    elif len(wanting) == 1:
        if len(loose) > 1 and words.CHOICE.search(wanting[0].clause.key):
            raise Unsure("which-script")
        wanting[0].codes = tuple(loose)
    elif len(loose) <= len(wanting):
        for order, number in zip(wanting, loose, strict=False):
            order.codes = (number,)
    else:
        raise Unsure("which-script")


def _wanting(orders: Sequence[Order], material: Material) -> list[Order]:
    """Return the orders to run something the clause does not hold; without any run, the first to speak an output."""
    wanting: list[Order] = []
    ran = False
    for order in orders:
        key = order.clause.key
        shown = ran and words.SHOW.search(key) and words.PRINTED.search(key)
        if order.skill in TAKES_CODE and not order.codes and not shown and not _names_script(order, material):
            wanting.append(order)
        ran = ran or order.skill == RUN or bool(order.codes)
    if wanting or ran:
        return wanting
    speaks = (o for o in orders if o.skill == SPEAK and o.clause.payload is None)
    return [o for o in speaks if words.PRINTED.search(o.clause.key)][:1]


def _names_script(order: Order, material: Material) -> bool:
    return any(material.files[i].name.lower() in order.clause.key for i in material.scripts)


def _counts_off(order: Order, material: Material) -> bool:
    return bool(_places(order.clause.key)) and not (material.images and words.IMAGE.search(order.clause.key))


def _places(key: str) -> list[int]:
    """Return the places a clause counts off, -1 for the last; "run this first" counts nothing off."""
    patterns = [*enumerate(words.ORDINALS), (-1, words.LAST_SCRIPT)]
    return [
        place
        for place, pattern in patterns
        if any(m[0] > "z" or _DEFINITE.search(key[: m.start()]) for m in pattern.finditer(key))
    ]


def _picked(order: Order, loose: Sequence[int]) -> tuple[int, ...]:
    places = _places(order.clause.key)
    if not places or max(places) >= len(loose) or words.CHOICE.search(order.clause.key):
        raise Unsure("which-script")
    if words.FIRST_FEW.search(order.clause.key):
        raise Unsure("unclear")
    return tuple(dict.fromkeys(loose[place] for place in places))
