"""Text as it may travel: no control characters, no halves of characters."""

import re

_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_NEWLINES = re.compile("\r\n?|\x85|\u2028|\u2029")
_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_TRAILING = re.compile(r"[ \t\xa0]+(?=\n|$)")


def clean(text: str) -> str:
    """Return text without control characters but tabs and newlines; a half of a character is left out."""
    return _UNWANTED.sub("", _NEWLINES.sub("\n", text))


def tidy(text: str) -> str:
    """Return clean text without blanks at line ends and with at most one blank line in a row."""
    return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", clean(text))).strip("\n")


def one_line(text: str, characters: int) -> str:
    """Return text on one line, cut with an ellipsis."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= characters else flat[: characters - 1] + "…"
