"""What the guard is told and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from concilium.adapters.guard.letters import fold

Language = Literal["en", "ru"]
View = Literal["accepted", "private", "dual"]
Mode = Literal["auto", "accepted", "private", "dual"]
"""What the caller chose beside the text: nothing; the accepted view; the adapter by its reference; both views."""


@dataclass(frozen=True, slots=True)
class Paradigm:
    """A private world-view, as far as the guard needs it.

    Raises:
        ValueError: a warning or a title is missing or blank in a language, or a name has no letters.
    """

    id: str
    names: tuple[str, ...]
    """How people call it, in any language; whole, as in "Pendulum Theory". None: it cannot be asked for by name."""
    allowed_topics: tuple[str, ...]
    """Words and short phrases of either language; none: it speaks only when asked for."""
    warning_text: Mapping[Language, str]
    title: Mapping[Language, str]
    """What labels its half of a dual answer."""

    def __post_init__(self) -> None:
        for what, texts in (("warning_text", self.warning_text), ("title", self.title)):
            for language in ("en", "ru"):
                if not fold(texts.get(language, "")).strip():
                    raise ValueError(f"paradigm {self.id}: {what} has no text in '{language}'")
        if not all(any(c.isalpha() for c in name) for name in (*self.names, *self.allowed_topics)):
            raise ValueError(f"paradigm {self.id}: a name or topic has no letters")


@dataclass(frozen=True, slots=True)
class Request:
    """What came in: everything that may tell what the answer is for."""

    text: str
    system: str = ""
    """Instructions of the caller's own, such as an OpenAI ``system`` message."""
    agent: str = ""
    skill: str = ""
    files: tuple[str, ...] = ()
    """Names of attached files."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters that decided."""

    source: str
    """``text``, ``history:0``, ``system``, ``agent``, ``skill`` or ``file:0``."""
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Which view may answer, and why."""

    view: View
    reasons: tuple[str, ...]
    """``denied:<context>``, ``caller-accepted``, ``excluded``, ``accepted-asked``, ``no-match``, ``unsure:length``,
    ``unsure:language``, ``unsure:encoded``, ``unsure:health``, ``unsure:writing``, ``unsure:words``,
    ``unsure:clause``, ``unsure:purpose``; or ``by-name``, ``by-caller``, ``on-topic``, ``follow-up``,
    ``both-asked``."""
    spans: tuple[Span, ...]
    language: Language
    """Of the request: what the warning is said in."""
    paradigm: Paradigm

    @property
    def private(self) -> bool:
        """Whether the private view speaks, alone or beside the accepted one; then the answer carries the warning."""
        return self.view != "accepted"

    @property
    def warning(self) -> str:
        """What the service says before an answer in which the private view speaks."""
        return self.paradigm.warning_text[self.language]
