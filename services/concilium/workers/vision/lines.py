"""Words and lines of text on a page, whoever read them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from concilium.contracts.base import JSON


@dataclass(frozen=True, slots=True)
class Placed:
    """Text with its box in pixels of its page, x and y from the upper left corner; confidence from 0 to 1."""

    text: str
    x: int
    y: int
    width: int
    height: int
    confidence: float

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def as_json(self) -> dict[str, JSON]:
        """Return it as ``vision.ocr`` gives it out."""
        box = [self.x, self.y, self.width, self.height]
        return {"text": self.text, "box": box, "confidence": round(min(1.0, max(0.0, self.confidence)), 3)}


@dataclass(frozen=True, slots=True)
class Word(Placed):
    """A word."""

    def at(self, x: int, y: int, width: int, height: int) -> "Word":
        """Return the word with another box."""
        return Word(self.text, x, y, width, height, self.confidence)


@dataclass(frozen=True, slots=True)
class Line(Placed):
    """A line of words."""

    per_character: tuple[float, ...] = ()
    """One for each character of the text, where the reader tells."""
    words: tuple[Word, ...] = ()

    def scaled(self, factor: float) -> "Line":
        """Return the line on a page ``factor`` times as large."""
        x, y, width, height = _times(self, factor)
        words = tuple(word.at(*_times(word, factor)) for word in self.words)
        return replace(self, x=x, y=y, width=width, height=height, words=words)


def line_of(words: Sequence[Word]) -> Line:
    """Return the words as one line, in their order; its confidence is the words' mean."""
    x, y = min(w.x for w in words), min(w.y for w in words)
    width, height = max(w.right for w in words) - x, max(w.bottom for w in words) - y
    text = " ".join(w.text for w in words)
    confidence = sum(w.confidence for w in words) / len(words)
    return Line(text, x, y, width, height, confidence, words=tuple(words))


def sureness(items: Sequence[Placed]) -> float:
    """Return the mean confidence, weighted by the length of the text; 0 of nothing."""
    letters = sum(len(item.text) for item in items)
    return sum(len(item.text) * item.confidence for item in items) / letters if letters else 0.0


def _times(item: Placed, factor: float) -> tuple[int, int, int, int]:
    x, y, width, height = (round(value * factor) for value in (item.x, item.y, item.width, item.height))
    return x, y, width, height
