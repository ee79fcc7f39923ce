"""Text for engines that know one alphabet only."""

import re
import unicodedata

from concilium.workers.tts.words.digits import each

_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "…": "..."})
_RUSSIAN = dict(
    zip("abcdefghijklmnopqrstuvwxyz", each("а б ц д е ф г х и дж к л м н о п к р с т у в в кс й з"), strict=True)
)
_TOKEN = re.compile(r"[A-Za-zА-Яа-яЁё]+(?:'[A-Za-z]+)?|[.,;:!?]")


def ascii_only(text: str) -> str:
    """Return the text in ASCII on one line: accents dropped, what has no likeness left out."""
    plain = unicodedata.normalize("NFKD", text.translate(_QUOTES))
    return " ".join("".join(c for c in plain if c.isascii() and c.isprintable()).split())


def cyrillic_only(text: str) -> str:
    """Return the text in Russian letters; Latin letters are written as they sound, roughly."""
    plain = unicodedata.normalize("NFC", text.translate(_QUOTES))
    return "".join(_RUSSIAN.get(c.lower(), c) for c in plain)


def words_only(text: str) -> str:
    """Return words and the stops that follow them: festival makes no sound of a text with signs that stand alone."""
    said: list[str] = []
    for token in _TOKEN.findall(text):
        if token[0].isalpha():
            said.append(f" {token}")
        elif said and said[-1][-1].isalpha():
            said.append(token)
    return "".join(said).strip()
