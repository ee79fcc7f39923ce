"""Splitting a text into sentences and finding the language of each."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

Language = Literal["en", "ru"]

_SENTENCE = re.compile(r"(?<=[.!?…])[\s]+|\n+")
_PIECE = re.compile(r"[,;:—–-]?\s+")


def clean(text: str) -> str:
    """Return the text without control characters; line ends stay, as they end sentences."""
    return "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in text)


def sentences(text: str, longest: int) -> Iterator[str]:
    """Yield the sentences of a text, those above ``longest`` characters in pieces cut at spaces."""
    for sentence in _SENTENCE.split(clean(text)):
        rest = sentence.strip()
        while len(rest) > longest:
            cut = _last_space(rest, longest)
            yield rest[:cut].strip()
            rest = rest[cut:].strip()
        if any(c.isalnum() for c in rest):
            yield rest


def _last_space(text: str, longest: int) -> int:
    ends = [match.end() for match in _PIECE.finditer(text, 0, longest)]
    return ends[-1] if ends else longest


def language_of(sentence: str, before: Language) -> Language:
    """Return the language most letters are of; that of the sentence before where there are no letters."""
    cyrillic = sum("Ѐ" <= c <= "ӿ" for c in sentence)
    latin = sum(c.isascii() and c.isalpha() for c in sentence)
    if cyrillic == latin == 0:
        return before
    return "ru" if cyrillic >= latin else "en"
