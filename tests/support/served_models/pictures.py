"""Pictures whose every property is known: what the vision model learns from, and what the tests show it."""

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 32, 38),
    "green": (28, 158, 62),
    "blue": (34, 74, 206),
    "yellow": (244, 214, 30),
    "purple": (142, 36, 160),
    "black": (24, 24, 26),
}
BACKGROUNDS: dict[str, RGB] = {"white": (250, 250, 250), "grey": (168, 168, 168), "orange": (250, 150, 60)}
SHAPES = ("circle", "square", "triangle")
PLACES = ("top left", "top right", "bottom left", "bottom right")
_JITTER = 12
"""How much each channel of a colour varies from picture to picture."""
_FINE = 3
"""Pictures are drawn this much larger and scaled down, for smooth edges."""


@dataclass(frozen=True)
class Scene:
    """One figure on a plain background."""

    colour: str
    shape: str
    place: str
    background: str

    @property
    def facts(self) -> dict[str, str]:
        """Return what can be asked about the picture."""
        sentence = f"A {self.colour} {self.shape} at the {self.place} of a picture with a {self.background} background."
        return {
            "colour": self.colour,
            "shape": self.shape,
            "place": self.place,
            "background": self.background,
            "description": sentence,
        }


def some_scene(chance: random.Random) -> Scene:
    """Return a scene by chance."""
    return Scene(
        chance.choice(list(COLOURS)), chance.choice(SHAPES), chance.choice(PLACES), chance.choice(list(BACKGROUNDS))
    )


def draw(scene: Scene, chance: random.Random, size: tuple[int, int]) -> Image.Image:
    """Return a picture of the scene; exact size, place and colour of the figure vary by chance."""
    width, height = size[0] * _FINE, size[1] * _FINE
    picture = Image.new("RGB", (width, height), _near(BACKGROUNDS[scene.background], chance))
    unit = min(width, height)
    radius = unit * chance.uniform(0.19, 0.26)
    x = _centre("left" in scene.place, width, radius, chance)
    y = _centre("top" in scene.place, height, radius, chance)
    colour = _near(COLOURS[scene.colour], chance)
    brush = ImageDraw.Draw(picture)
    box = (x - radius, y - radius, x + radius, y + radius)
    if scene.shape == "circle":
        brush.ellipse(box, fill=colour)
    elif scene.shape == "square":
        brush.rectangle(box, fill=colour)
    else:
        brush.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=colour)
    return picture.resize(size, Image.Resampling.BICUBIC)


def _centre(low: bool, extent: int, radius: float, chance: random.Random) -> float:
    """Return a coordinate well inside the first or the second half."""
    centre = chance.uniform(radius * 1.1, extent * 0.38)
    return centre if low else extent - centre


def _near(colour: RGB, chance: random.Random) -> RGB:
    red, green, blue = (max(0, min(255, value + chance.randint(-_JITTER, _JITTER))) for value in colour)
    return red, green, blue
