"""Writes a sentence's numbers, dates, units and abbreviations out as words, so that every engine says them alike."""

from concilium.workers.tts.words.digits import plain_digits
from concilium.workers.tts.words.english import english
from concilium.workers.tts.words.russian import russian

__all__ = ["spell_out"]


def spell_out(sentence: str, language: str) -> str:
    """Return the sentence (``en`` or ``ru``) in words; the result holds no digits. What is a word stays as it is."""
    text = plain_digits(sentence)
    words = russian(text) if language == "ru" else english(text)
    return " ".join(words.split())
