"""Cuts text into sentences and tells English from Russian by script."""

import re
import unicodedata

SENTENCE_MAX = 600
"""Characters handed to the engine at once."""

_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[A-Za-z]")


def clean(text: str) -> str:
    """Return the text without control and format characters, line ends kept."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text).strip()


def split(text: str) -> list[str]:
    """Return the sentences that hold something to say; long ones are cut at a space where there is one."""
    found: list[str] = []
    for sentence in _END.split(text):
        rest = sentence.strip()
        while len(rest) > SENTENCE_MAX:
            space = rest.rfind(" ", 1, SENTENCE_MAX)
            cut = space if space > 0 else SENTENCE_MAX
            found.append(rest[:cut])
            rest = rest[cut:].strip()
        found.append(rest)
    return [s for s in found if any(c.isalnum() or unicodedata.category(c) in ("Sm", "Sc") for c in s)]


def language_of(sentence: str, before: str = "en") -> str:
    """Return ``ru`` or ``en``, whichever script has more letters; ``before`` when there are none."""
    russian, english = len(_CYRILLIC.findall(sentence)), len(_LATIN.findall(sentence))
    if russian == english:
        return before
    return "ru" if russian > english else "en"
