"""Stage admit: what this turn is about, in one place, before anything is decided."""

from dataclasses import dataclass

from concilium.brain.words import Language, language_of
from concilium.contracts.parts import FileRef
from concilium.contracts.turn import Turn


@dataclass(frozen=True)
class Admitted:
    """A request as the later stages see it."""

    text: str
    replies: tuple[str, ...]
    files: tuple[FileRef, ...]
    language: Language


def admit(turn: Turn) -> Admitted:
    """Return the turn's request with its language; a turn with replies speaks the language of the last one."""
    request = turn.request
    spoken = request.replies[-1] if request.replies else request.text
    language = language_of(spoken) if any(c.isalpha() for c in spoken) else language_of(request.text)
    return Admitted(request.text, request.replies, request.files, language)
