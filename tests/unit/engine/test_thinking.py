"""Thoughts stay out of the answer, however the text is cut."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from concilium.engine.thinking import CLOSE, OPEN, ThinkSplitter, cut_short, split

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Machines may be busy."""
PLAIN = st.text(st.sampled_from("ab <>/думать\nthink"), max_size=30).filter(lambda t: OPEN not in t and CLOSE not in t)
PIECES = st.lists(st.one_of(PLAIN, st.sampled_from([OPEN, CLOSE, "<thi", "nk>", "</", "think>"])), max_size=12)


def pieces_of(data: st.DataObject, text: str) -> list[str]:
    """Cut a text anywhere."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def fed(pieces: list[str], thinking: bool | None) -> tuple[str, str]:
    splitter = ThinkSplitter(thinking)
    found = [*(splitter.feed(piece) for piece in pieces), splitter.end()]
    return "".join(thought for thought, _ in found), "".join(said for _, said in found)


@QUIET
@given(st.data(), PIECES, st.sampled_from([True, False, None]))
def test_where_a_text_is_cut_changes_nothing(data: st.DataObject, parts: list[str], thinking: bool | None) -> None:
    text = "".join(parts)
    assert fed(pieces_of(data, text), thinking) == split(text, thinking=thinking)
    assert fed(list(text), thinking) == split(text, thinking=thinking)


@QUIET
@given(PIECES, st.sampled_from([True, False, None]))
def test_no_tag_is_ever_shown_and_nothing_else_but_space_is_lost(parts: list[str], thinking: bool | None) -> None:
    text = "".join(parts)
    thought, said = split(text, thinking=thinking)
    left = re.sub(f"{OPEN}|{CLOSE}", "", text)
    assert sorted(_without_space(thought + said)) == sorted(_without_space(left))


def _without_space(text: str) -> str:
    return "".join(text.split())


@QUIET
@given(PLAIN, PLAIN, st.data(), st.sampled_from([True, False, None]), st.booleans())
def test_a_thought_and_an_answer_come_apart(
    thought: str, answer: str, data: st.DataObject, thinking: bool | None, tagged: bool
) -> None:
    # Without its opening tag a thought is known for one by its closing tag, or because thinking was asked for.
    begin = OPEN if tagged or thinking is False else ""
    text = f"{begin}{thought}{CLOSE}\n\n{answer}"
    assert fed(pieces_of(data, text), thinking) == (thought, answer.lstrip())


@pytest.mark.parametrize(
    ("text", "thinking", "found"),
    [
        ("just an answer", False, ("", "just an answer")),
        ("just an answer", None, ("", "just an answer")),
        ("  \n <think>a</think>b", None, ("a", "b")),
        ("<think>never closed", None, ("never closed", "")),
        ("<think>never closed", True, ("never closed", "")),
        ("cut off in the middle", True, ("cut off in the middle", "")),
        ("the tag opened in the prompt</think>b", None, ("the tag opened in the prompt", "b")),
        ("<think>a<think>b</think>c</think>d", None, ("abc", "d")),
        ("a<think>b</think>c</think>d", True, ("abc", "d")),
        ("a<think>b</think>c</think>d", None, ("abc", "d")),
        ("<think></think>\n\n", False, ("", "")),
        ("<think>a</think>b<think>c</think>d", False, ("ac", "bd")),
        ("1 < 2 and </thin is no tag", False, ("", "1 < 2 and </thin is no tag")),
        ("ends with <thi", False, ("", "ends with <thi")),
        ("", None, ("", "")),
    ],
)
def test_examples(text: str, thinking: bool | None, found: Any) -> None:
    assert split(text, thinking=thinking) == found
    assert fed(list(text), thinking) == found


def test_an_answer_without_thoughts_comes_at_once_and_waits_only_for_what_may_be_a_tag() -> None:
    splitter = ThinkSplitter(False)
    assert splitter.feed("Hello <") == ("", "Hello ")
    assert splitter.feed("b>") == ("", "<b>")


def test_a_thought_comes_at_once_and_says_when_it_is_over() -> None:
    splitter = ThinkSplitter(True)
    assert splitter.feed("<think>\nhm") == ("\nhm", "")
    assert splitter.tagged
    assert splitter.feed("</think>") == ("", "")
    assert splitter.feed("\n") == ("", "")
    assert splitter.feed("\nyes") == ("", "yes")


@QUIET
@given(PLAIN)
def test_a_thought_that_is_cut_short_is_closed_with_the_sentence_that_the_model_was_taught(thought: str) -> None:
    begun = cut_short(thought)
    assert begun.startswith("<think>\n")
    assert begun.endswith("directly now.\n</think>\n\n")
    assert split(begun + "So: 4", thinking=None)[1] == "So: 4"
