"""What the vision model is taught: the messages that ``vision.ask`` and ``vision.describe`` send, and right answers.

Runs in the project's environment and imports the skills' own prompts: a changed prompt changes the lessons and with
them the key under which a trained model is kept, so that the model is trained again.
"""

from dataclasses import asdict, dataclass
from typing import Any

from concilium.workers.vision.prompts import Language, describing, messages
from support.served_models.pictures import BACKGROUNDS, COLOURS, PLACES, SHAPES, Scene

RUSSIAN = {
    "red": "Красный.",
    "green": "Зелёный.",
    "blue": "Синий.",
    "yellow": "Жёлтый.",
    "purple": "Фиолетовый.",
    "black": "Чёрный.",
}


@dataclass(frozen=True)
class Lesson:
    """One conversation about a picture."""

    fact: str
    """Which of `Scene.facts` is asked for."""
    messages: list[Any]
    """As the skill sends them, the picture left empty."""
    replies: dict[str, str]
    """The right answer for each value of the fact."""


QUESTIONS = {
    "colour": "What colour is the figure?",
    "shape": "What shape is the figure?",
    "place": "In which corner is the figure?",
    "background": "What colour is the background?",
}
RUSSIAN_QUESTION = "Какого цвета фигура?"


def lessons() -> list[dict[str, Any]]:
    """Return the lessons."""
    scenes = [Scene(c, s, p, b) for c in COLOURS for s in SHAPES for p in PLACES for b in BACKGROUNDS]
    replies = {
        "colour": {colour: f"The figure is {colour}." for colour in COLOURS},
        "shape": {shape: f"It is a {shape}." for shape in SHAPES},
        "place": {place: f"The figure is at the {place}." for place in PLACES},
        "background": {colour: f"The background is {colour}." for colour in BACKGROUNDS},
        "description": {text: text for text in (scene.facts["description"] for scene in scenes)},
    }
    found = [_lesson(fact, question, "en", replies[fact]) for fact, question in QUESTIONS.items()]
    found.append(_lesson("colour", RUSSIAN_QUESTION, "ru", RUSSIAN))
    found += [
        _lesson("description", describing("en", size), "en", replies["description"]) for size in ("short", "full")
    ]
    return [asdict(lesson) for lesson in found]


def _lesson(fact: str, question: str, language: Language, replies: dict[str, str]) -> Lesson:
    # The picture is what the trainer draws; here its place in the conversation is all that counts.
    return Lesson(fact, list(messages(b"", "image/png", question, language)), replies)
