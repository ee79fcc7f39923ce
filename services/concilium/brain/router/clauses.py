"""Cutting a request into clauses, each of which orders at most one thing."""

import re
from dataclasses import dataclass

from concilium.brain.router.lexicon import NEGATED, PRINTED, RUN, SPEAK, SPEAK_WEAK
from concilium.brain.router.surface import codes_in

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
_CODE_FIRST = re.compile(r"\x02C\d+\x03")
_ONLY_MARKS = re.compile(r"(?:\s*\x02[CQ]\d+\x03\s*)+")
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

    @property
    def codes(self) -> tuple[int, ...]:
        """The numbers of the codes in the clause, those behind its colon apart."""
        return codes_in(self.raw)

    @property
    def payload_codes(self) -> tuple[int, ...]:
        """The numbers of the codes behind the colon."""
        return codes_in(self.payload or "")

    @property
    def only_marks(self) -> bool:
        """Whether the clause is nothing but lifted literals."""
        return self.payload is None and _ONLY_MARKS.fullmatch(self.raw) is not None


def cut(masked: str) -> list[Clause]:
    """Return the clauses of a masked text, in order.

    What follows the colon of a clause that asks for speech is data to its end, whatever it says; but code there is
    the code to run when the clause wants an output spoken, or an earlier one runs something it does not hold.
    """
    for colon in _COLON.finditer(masked):
        head = masked[: colon.start()]
        *before, last = _pieces(_COLON.sub(" , ", head)) or [""]
        payload = masked[colon.end() :].strip()
        speaks = SPEAK.search(_lower(last)) or SPEAK_WEAK.search(_lower(last))
        if speaks and not (_CODE_FIRST.match(payload) and _wants_code(before, last)):
            return [Clause(piece) for piece in before] + [Clause(last, payload)]
    return [Clause(piece) for piece in _pieces(masked.replace(":", " , "))]


def _wants_code(before: list[str], last: str) -> bool:
    runs = (p for p in map(_lower, before) if RUN.search(p) and not NEGATED.search(p) and not codes_in(p.upper()))
    return bool(PRINTED.search(_lower(last))) or any(runs)


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
