"""Cutting a request into clauses, each of which orders at most one thing."""

import re
from dataclasses import dataclass

from concilium.brain.router.lexicon import SPEAK, SPEAK_WEAK

_CUT = re.compile(
    r"[.!?;,\n]+(?=\s|$)|\s[—–-]\s"
    r"|\b(?:and then|and also|then|and|but|after that|afterwards|next|finally|plus)\b"
    r"|\b(?:а также|а затем|а потом|и затем|и потом|затем|потом|после этого|после чего|и|а|но|в конце|наконец)\b",
    re.IGNORECASE,
)
_ADVERB = re.compile(
    r"separately|independently|in parallel|also|besides|отдельно|независимо|параллельно|также", re.IGNORECASE
)
_COLON = re.compile(r":(?=\s)")
_POLITE = re.compile(
    r"^\W*(?:(?:please|kindly|could you|can you|would you|will you|i want you to|i need you to|i'd like you to"
    r"|пожалуйста|можешь|не мог бы ты|сначала|сперва|first|firstly|second|secondly|third|thirdly|lastly)\b[\s,]*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clause:
    """A piece of the masked request, and what comes after its colon, uncut."""

    raw: str
    payload: str | None = None

    @property
    def key(self) -> str:
        """The clause as rules read it."""
        return self.raw.lower().replace("ё", "е")


def cut(masked: str) -> list[Clause]:
    """Return the clauses of a masked text, in order.

    What follows the colon of a clause that asks for speech is data to its end, whatever it says.
    """
    for colon in _COLON.finditer(masked):
        head = masked[: colon.start()]
        last = _pieces(head)[-1:] or [""]
        if SPEAK.search(_lower(last[0])) or SPEAK_WEAK.search(_lower(last[0])):
            return [Clause(piece) for piece in _pieces(head)[:-1]] + [Clause(last[0], masked[colon.end() :].strip())]
    return [Clause(piece) for piece in _pieces(masked.replace(":", " , "))]


def _pieces(text: str) -> list[str]:
    stripped = (_POLITE.sub("", piece).strip(" \t\n,.!?;:-") for piece in _CUT.split(text))
    pieces: list[str] = []
    adverb = ""
    for piece in stripped:
        if _ADVERB.fullmatch(piece):
            # "… and, separately, run …": the adverb belongs to what follows.
            adverb = f"{piece} "
        elif any(c.isalnum() for c in piece):
            pieces.append(adverb + piece)
            adverb = ""
    return pieces


def _lower(text: str) -> str:
    return text.lower().replace("ё", "е")
