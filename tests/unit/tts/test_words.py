"""What holds for any text: no digit is left, words stay, and hostile text costs little."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from concilium.workers.tts.words import spell_out

PIECES = st.sampled_from(
    [
        "1",
        "0",
        "7",
        "12",
        "2024",
        "31",
        "005",
        "1990-е",
        "12:61",
        "5:99:99",
        "1/0",
        "0/0",
        "13.13.2024",
        "2024-13-40",
        "$",
        "€",
        "руб.",
        "%",
        "км",
        "km",
        "°C",
        "№",
        "§",
        "-",
        "–",
        "—",
        ".",
        ",",
        ":",
        "/",
        "+",
        "(",
        ")",
        "XX",
        "в.",
        "гг.",
        "марта",
        "March",
        "pm",
        "т.",
        "е.",
        "ул.",
        "Mr.",
        "st",
        "-го",
        "-летний",
        "²",
        "½",
        "٣",
        "тыс.",
        "млн",
        "bn",
        "к",
        "с",
        "в",
        "from",
    ]
)


@pytest.mark.parametrize("language", ["en", "ru"])
@settings(max_examples=300)
@given(pieces=st.lists(st.tuples(PIECES, st.sampled_from(["", " "])), max_size=12))
def test_no_digit_is_left_whatever_stands_around_it(language: str, pieces: list[tuple[str, str]]) -> None:
    said = spell_out("".join(piece + space for piece, space in pieces), language)
    assert not any(c.isdecimal() for c in said)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_words_stay_as_they_are(language: str) -> None:
    for text in (
        "The quick brown fox jumps over the lazy dog.",
        "Съешь ещё этих мягких французских булок, да выпей чаю.",
    ):
        assert spell_out(text, language) == text


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize(
    "text", ["1" * 600, "1 " * 300, "1-" * 300, "1," * 300, "1 000 " * 100, "$" * 600, "I" * 600, "т. " * 200]
)
def test_a_hostile_sentence_costs_less_than_a_second(language: str, text: str) -> None:
    began = time.process_time()
    spell_out(text, language)
    assert time.process_time() - began < 1
