"""A line of text on a page, whoever read it."""

from dataclasses import dataclass, replace

from concilium.contracts.base import JSON


@dataclass(frozen=True, slots=True)
class Line:
    """Text with its box in pixels of the upright image; confidences from 0 to 1."""

    text: str
    x: int
    y: int
    width: int
    height: int
    confidence: float
    per_character: tuple[float, ...] = ()
    """One for each character of the text, where the reader tells."""

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def scaled(self, factor: float) -> "Line":
        """Return the line on a page ``factor`` times as large."""
        x, y = round(self.x * factor), round(self.y * factor)
        return replace(self, x=x, y=y, width=round(self.width * factor), height=round(self.height * factor))

    def as_json(self) -> dict[str, JSON]:
        """Return the line as ``vision.ocr`` gives it out."""
        box = [self.x, self.y, self.width, self.height]
        return {"text": self.text, "box": box, "confidence": min(1.0, max(0.0, self.confidence))}
