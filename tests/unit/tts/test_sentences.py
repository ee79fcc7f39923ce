"""Where a sentence ends, and where a full stop is only that of an abbreviation."""

import pytest

from concilium.workers.tts.sentences import SENTENCE_MAX, split


@pytest.mark.parametrize(
    "sentences",
    [
        ["One.", "Two!", "Three?", "Four…"],
        ["Dr. Smith met Mr. Jones vs. Brown.", "They talked."],
        ["He said e.g. this.", "Then he left."],
        ["It was 5 p.m. in London.", "It rained."],
        ["We bought apples etc. and left.", "It was late, etc.", "The end."],
        ["J. R. R. Tolkien wrote it.", "He did."],
        ["А. С. Пушкин родился в 1799 г. в г. Москве.", "Он был поэт."],
        ["Это было в 2024 г.", "Потом стало лучше."],
        ["Цена 5 руб. за шт.", "Это дёшево."],
        ["Яблоки, груши и т. д. лежат тут.", "Всё."],
        ["См. рис. 5 на стр. 7.", "Там всё видно."],
        ["Год 1945.", "1946.", "1947."],
        ["«Пойдём.»", "Он пошёл."],
    ],
)
def test_sentences_end_where_a_reader_would_pause(sentences: list[str]) -> None:
    assert split(" ".join(sentences)) == sentences


def test_a_line_end_ends_a_sentence() -> None:
    assert split("Title\nText of it") == ["Title", "Text of it"]


def test_a_very_long_sentence_is_cut_at_a_space() -> None:
    parts = split("word " * 1000)
    assert all(len(part) <= SENTENCE_MAX for part in parts)
    assert " ".join(parts).split() == ["word"] * 1000


def test_nothing_is_lost() -> None:
    text = "Mr. A. met Б. В. в 5 ч. утра. Then? Well… no! etc. Да."
    assert " ".join(split(text)) == text
