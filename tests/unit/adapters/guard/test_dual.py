"""A dual answer holds both views, labelled, each from its own adapter."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.adapters.guard import Piece, dual, dual_stream
from concilium.adapters.guard.dual import BASE
from support.guard import decided

SPORT = "sport@1.2.0+0123456789ab"


async def stream(pieces: list[str]) -> AsyncGenerator[str, None]:
    for piece in pieces:
        yield piece


def test_both_views_are_there_in_order_under_their_labels_behind_the_warning() -> None:
    answer = dual((BASE, "Rest two days."), (SPORT, "Swing back at once."), decided("dual"))
    assert answer.text == (
        f"\N{WARNING SIGN} {decided('dual').warning}\n\n"
        "## The accepted view\n\nRest two days.\n\n## A private view: Pendulum Theory\n\nSwing back at once."
    )
    assert [(view.view, view.adapter, view.text) for view in answer.views] == [
        ("accepted", BASE, "Rest two days."),
        ("private", SPORT, "Swing back at once."),
    ]


def test_the_labels_are_in_the_language_of_the_request() -> None:
    labels = [view.label for view in dual((BASE, "а"), (SPORT, "б"), decided("dual", "ru")).views]
    assert labels == ["Общепринятый взгляд", "Частный взгляд: теория маятника"]


def test_one_adapter_does_not_speak_for_both_views() -> None:
    with pytest.raises(ValueError, match="needs an adapter of its own"):
        dual((SPORT, "a"), (SPORT, "b"), decided("dual"))


@pytest.mark.parametrize("view", ["accepted", "private"])
async def test_nothing_is_composed_where_another_view_was_decided(view: str) -> None:
    decision = decided("accepted" if view == "accepted" else "private")
    with pytest.raises(ValueError, match="not 'dual'"):
        dual((BASE, "a"), (SPORT, "b"), decision)
    with pytest.raises(ValueError, match="not 'dual'"):
        await anext(dual_stream((BASE, stream([])), (SPORT, stream([])), decision))


@given(st.lists(st.text(max_size=20), max_size=5), st.lists(st.text(max_size=20), max_size=5))
def test_a_dual_stream_is_the_dual_answer_and_says_whose_each_piece_is(first: list[str], second: list[str]) -> None:
    async def run() -> list[Piece]:
        return [piece async for piece in dual_stream((BASE, stream(first)), (SPORT, stream(second)), decided("dual"))]

    pieces = asyncio.run(run())
    whole = dual((BASE, "".join(first)), (SPORT, "".join(second)), decided("dual"))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[0].view is None
    assert pieces[0].text.startswith(f"\N{WARNING SIGN} {decided('dual').warning}")
    for view in whole.views:
        assert "".join(piece.text for piece in pieces if piece.view == view.view) == view.text


async def test_closing_a_dual_stream_closes_both_models() -> None:
    closed: list[str] = []

    async def endless(name: str) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield name
        finally:
            closed.append(name)

    first, second = endless("accepted"), endless("private")
    await anext(second)
    sent = dual_stream((BASE, first), (SPORT, second), decided("dual"))
    for _ in range(3):
        await anext(sent)
    await sent.aclose()
    assert sorted(closed) == ["accepted", "private"]
