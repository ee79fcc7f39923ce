"""Draws pages of text as a scanner or a telephone might give them, always the same ones for a seed."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FOLDERS = (Path("/usr/share/fonts/truetype/dejavu"), Path("/usr/share/fonts/truetype/liberation"))
TRAIN_FONTS = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSans-Bold",
    "DejaVuSansCondensed",
    "DejaVuSansMono",
    "DejaVuSerif-Italic",
)
HELD_OUT_FONTS = ("LiberationSerif-Regular", "LiberationSans-Regular", "DejaVuSerif-Bold", "LiberationMono-Regular")


@dataclass(frozen=True)
class Page:
    """A drawn page and what is written on it."""

    image: Image.Image
    lines: tuple[str, ...]
    font: str
    size: int
    noisy: bool


def present(names: Sequence[str]) -> list[str]:
    """Return those of the fonts that are installed."""
    return [name for name in names if _file(name) is not None]


def draw(lines: Sequence[str], font: str, size: int, *, noise: random.Random | None = None) -> Page:
    """Draw lines of text, dark on white; with ``noise`` also skewed, blurred and grainy."""
    path = _file(font)
    if path is None:
        raise FileNotFoundError(font)
    face = ImageFont.truetype(str(path), size)
    step = round(size * 1.7)
    width = round(max(face.getlength(line) for line in lines)) + 4 * size
    image = Image.new("L", (width, step * len(lines) + 3 * size), 255)
    pen = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        pen.text((2 * size, size + number * step), line, 20, face)
    if noise is not None:
        image = _spoil(image, noise)
    return Page(image.convert("RGB"), tuple(lines), font, size, noise is not None)


@dataclass(frozen=True, slots=True)
class Condition:
    """One kind of damage at one of three strengths; a clean page has strength 0."""

    kind: str
    strength: int = 0

    @property
    def amount(self) -> float:
        """How much: see `STRENGTHS`."""
        return STRENGTHS[self.kind][self.strength - 1]

    def __str__(self) -> str:
        return f"{self.kind} {UNITS[self.kind].format(self.amount)}" if self.strength else self.kind


STRENGTHS: dict[str, tuple[float, float, float]] = {
    "noise": (20, 40, 60),
    "skew": (2, 5, 10),
    "blur": (1.0, 1.6, 2.2),
    "jpeg": (30, 12, 5),
}
"""Noise: standard deviation in shades of 255, on paper of 229 and ink of 41. Skew: degrees, either way. Blur: standard
deviation of the Gaussian in pixels. JPEG: Pillow's quality."""
UNITS = {"noise": "σ {:g}", "skew": "{:g}°", "blur": "σ {:g} px", "jpeg": "quality {:g}"}
CONDITIONS = (Condition("clean"), *(Condition(kind, n) for kind in STRENGTHS for n in (1, 2, 3)))


def damaged(image: Image.Image, condition: Condition, chance: random.Random) -> Image.Image:
    """Return the page in a condition."""
    grey = image.convert("L")
    if condition.kind == "noise":
        grain = numpy.random.default_rng(chance.randrange(2**32)).normal(0, condition.amount, (grey.height, grey.width))
        grey = Image.fromarray(numpy.clip(numpy.asarray(grey) * 0.8 + 25 + grain, 0, 255).astype(numpy.uint8))
    elif condition.kind == "skew":
        degrees = condition.amount * chance.choice((-1, 1))
        grey = grey.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    elif condition.kind == "blur":
        grey = grey.filter(ImageFilter.GaussianBlur(condition.amount))
    elif condition.kind == "jpeg":
        packed = io.BytesIO()
        grey.save(packed, "JPEG", quality=round(condition.amount))
        grey = Image.open(packed).convert("L")
    return grey.convert("RGB")


def _spoil(image: Image.Image, noise: random.Random) -> Image.Image:
    turned = image.rotate(noise.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    blurred = turned.filter(ImageFilter.GaussianBlur(noise.uniform(0.3, 0.8)))
    grain = numpy.random.default_rng(noise.randrange(2**32)).normal(0, 12, (blurred.height, blurred.width))
    return Image.fromarray(numpy.clip(numpy.asarray(blurred) * 0.9 + 10 + grain, 0, 255).astype(numpy.uint8))


def _file(name: str) -> Path | None:
    return next((folder / f"{name}.ttf" for folder in FOLDERS if (folder / f"{name}.ttf").is_file()), None)
