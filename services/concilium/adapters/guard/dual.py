"""Two views of one question, each from its own adapter, labelled."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Literal

from concilium.adapters.guard.paradigm import Decision, Language
from concilium.adapters.guard.warning import lead, visible
from concilium.contracts.base import Model

BASE = "base"
"""The adapter of a view that the base model gives without any."""

_ACCEPTED: dict[Language, str] = {"en": "The accepted view", "ru": "Общепринятый взгляд"}
_PRIVATE: dict[Language, str] = {"en": "A private view: {title}", "ru": "Частный взгляд: {title}"}


class OneView(Model):
    """Half of a dual answer."""

    view: Literal["accepted", "private"]
    label: str
    adapter: str
    """What it came from: an adapter's served name, or `BASE`."""
    text: str


class DualAnswer(Model):
    """Both views: as one text with headings, and apart."""

    text: str
    views: tuple[OneView, OneView]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a dual stream; ``view`` is None for the service's own words."""

    text: str
    view: Literal["accepted", "private"] | None = None


def labels(decision: Decision) -> tuple[str, str]:
    """Return the headings of the accepted and the private view in the request's language."""
    language = decision.language
    return _ACCEPTED[language], _PRIVATE[language].format(title=decision.paradigm.title[language])


def dual(accepted: tuple[str, str], private: tuple[str, str], decision: Decision) -> DualAnswer:
    """Return a labelled answer that begins with the warning.

    Args:
        accepted: adapter and text of the accepted view.
        private: adapter and text of the private view.
        decision: the guard's; its view is ``dual``.

    Raises:
        ValueError: another view was decided, or both texts come from one adapter.
    """
    _check(accepted[0], private[0], decision)
    ours, theirs = labels(decision)
    first = OneView(view="accepted", label=ours, adapter=accepted[0], text=visible(accepted[1]))
    second = OneView(view="private", label=theirs, adapter=private[0], text=visible(private[1]))
    text = f"{lead(decision)}## {ours}\n\n{first.text}\n\n## {theirs}\n\n{second.text}"
    return DualAnswer(text=text, views=(first, second))


async def dual_stream(
    accepted: tuple[str, AsyncGenerator[str, None]], private: tuple[str, AsyncGenerator[str, None]], decision: Decision
) -> AsyncGenerator[Piece, None]:
    """Yield a labelled answer piece by piece: the warning, the accepted view to its end, then the private one.

    Joined, the pieces are the text of `dual`. Closing this generator closes both models' streams.

    Raises:
        ValueError: as `dual`.
    """
    async with AsyncExitStack() as stack:
        for _, pieces in (accepted, private):
            await stack.enter_async_context(aclosing(pieces))
        _check(accepted[0], private[0], decision)
        ours, theirs = labels(decision)
        yield Piece(f"{lead(decision)}## {ours}\n\n")
        async for piece in accepted[1]:
            yield Piece(visible(piece), "accepted")
        yield Piece(f"\n\n## {theirs}\n\n")
        async for piece in private[1]:
            yield Piece(visible(piece), "private")


def _check(accepted: str, private: str, decision: Decision) -> None:
    if decision.view != "dual":
        raise ValueError(f"the view decided is '{decision.view}', not 'dual'")
    if accepted == private:
        raise ValueError(f"both views come from {accepted}: each needs an adapter of its own")
