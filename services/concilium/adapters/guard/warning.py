"""The warning on answers in which a private view speaks: put there by the service, outside the model.

No function here looks for the warning in what a model wrote, and none takes a choice to leave it out: whether it is
said follows from the `Decision` alone. A model that repeats, denies or imitates it adds words behind it. Of a model's
text only control characters are dropped, with which a terminal could be made to wipe what stands before them (ECMA-48).
"""

import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from concilium.adapters.guard.paradigm import Decision, Language
from concilium.contracts.base import JSON, Model
from concilium.contracts.parts import Artifact, DataPart, TextPart
from concilium.contracts.task import Answer

SIGN = "\N{WARNING SIGN} "


class Notice(Model):
    """The warning as a field, for programs; beside an answer, never inside it."""

    paradigm: str
    view: Literal["private", "dual"]
    language: Language
    text: str


def notice(decision: Decision) -> Notice | None:
    """Return the warning that an answer carries as a field; None for the accepted view."""
    if decision.view == "accepted":
        return None
    return Notice(paradigm=decision.paradigm.id, view=decision.view, language=decision.language, text=decision.warning)


def field(decision: Decision) -> dict[str, JSON]:
    """Return the notice as the member ``concilium`` of a JSON object; empty for the accepted view."""
    found = notice(decision)
    return {} if found is None else {"concilium": {"notice": found.model_dump(mode="json")}}


def lead(decision: Decision) -> str:
    """Return what every text of an answer begins with; empty for the accepted view."""
    return f"{SIGN}{decision.warning}\n\n" if decision.private else ""


def visible(text: str) -> str:
    """Return a model's text without control characters other than line ends and tabs."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def guarded(answer: Answer, decision: Decision) -> Answer:
    """Return an answer with its warning: before the text, and first of the notes."""
    if not decision.private:
        return answer
    text = lead(decision) + visible(answer.text)
    return answer.model_copy(update={"text": text, "notes": (decision.warning, *answer.notes)})


async def guarded_stream(pieces: AsyncGenerator[str, None], decision: Decision) -> AsyncGenerator[str, None]:
    """Yield the warning before the model is waited for, then the pieces of its text.

    Closing this generator closes the model's.
    """
    async with aclosing(pieces):
        if decision.private:
            yield lead(decision)
        async for piece in pieces:
            yield visible(piece) if decision.private else piece


def guarded_artifact(artifact: Artifact, decision: Decision) -> Artifact:
    """Return a tool's or an agent's artifact with the warning as its first part and as data in its second."""
    if not decision.private:
        return artifact
    parts = (TextPart(text=lead(decision).strip()), DataPart(data=field(decision)))
    cleaned = (TextPart(text=visible(p.text)) if isinstance(p, TextPart) else p for p in artifact.parts)
    return artifact.model_copy(update={"parts": (*parts, *cleaned)})


def utterances(text: str, decision: Decision) -> tuple[str, ...]:
    """Return what is to be spoken, each apart and in this order.

    The warning is an utterance of its own, plain text in the service's voice: no markup, voice or speed in the text
    reaches it.
    """
    return (decision.warning, text) if decision.private else (text,)
