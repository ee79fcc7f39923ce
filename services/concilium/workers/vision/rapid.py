"""The bundled reader, RapidOCR: ONNX models in a wheel, for Latin script (and Chinese), not for Cyrillic."""

import re
import threading
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image

from concilium.workers.vision.lines import Line, Word
from concilium.workers.vision.spaces import with_spaces

NAME = "rapidocr"
CONFIDENCE_MIN = 0.5
"""Lines the reader believes in less are dropped, once the script is known to be Latin."""
WIDE_MAX, TALL_MAX = 60, 8
"""How many times as wide as high, or as high as wide, an image may be before it is set on a white page.

The reader brings the shorter side to at least 736 pixels, whatever the other becomes; wide strips it sets on a
page itself, unless they are so low that it enlarges them first.
"""

_WORD = re.compile(r"\S+")
_lock = threading.Lock()
# RapidOCR's call changes the reader's own fields and its authors promise nothing about threads.


def present() -> bool:
    """Return whether the wheel is installed; loads nothing."""
    return find_spec("rapidocr_onnxruntime") is not None


def warm(threads: int) -> None:
    """Load the models, about 0.3 s. Raises ImportError without the wheel."""
    _reader(threads)


def read(image: Image.Image, threads: int) -> list[Line]:
    """Return every line found, also the doubtful ones, unordered. Blocking; one at a time."""
    pixels = numpy.asarray(_no_strip(image))[:, :, ::-1]
    with _lock:
        found, _ = _reader(threads)(pixels, text_score=0.0, return_word_box=True)
    grey = numpy.asarray(image.convert("L"))
    return [_line(grey, entry) for entry in found or []]


def _no_strip(image: Image.Image) -> Image.Image:
    """Return the image at the left top of a white page that is no strip; places in it stay the same."""
    size = max(image.width, -(-image.height // TALL_MAX)), max(image.height, -(-image.width // WIDE_MAX))
    if size == image.size:
        return image
    page = Image.new("RGB", size, "white")
    page.paste(image)
    return page


def _line(grey: NDArray[Any], entry: Any) -> Line:
    """Return a line from RapidOCR's (corners, text, confidence, character boxes, characters, their confidences)."""
    points, text, confidence, boxes, characters, confidences = entry
    xs, ys = [round(p[0]) for p in points], [round(p[1]) for p in points]
    x, y = min(xs), min(ys)
    known = tuple(map(float, confidences)) if len(characters) == len(confidences) == len(text) else ()
    line = Line(text, x, y, max(xs) - x, max(ys) - y, float(confidence), known)
    return _with_words(with_spaces(line, [sum(point[0] for point in box) / 4 for box in boxes], grey))


def _with_words(line: Line) -> Line:
    """Return the line with its words; their boxes are parts of the line's by the number of characters, about right."""
    each = line.width / max(1, len(line.text))
    words = []
    for found in _WORD.finditer(line.text):
        sure = line.per_character[found.start() : found.end()] or (line.confidence,)
        left, right = round(line.x + found.start() * each), round(line.x + found.end() * each)
        words.append(Word(found.group(), left, line.y, right - left, line.height, sum(sure) / len(sure)))
    return replace(line, words=tuple(words))


@cache
def _reader(threads: int) -> Any:
    from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415 - heavy, loaded in warm_up

    return RapidOCR(intra_op_num_threads=threads)
