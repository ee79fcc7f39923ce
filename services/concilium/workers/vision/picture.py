"""The picture as an engine gets it: upright, in sRGB, flat, no larger than stated, without metadata."""

import io
from collections.abc import Sequence

from PIL import Image

from concilium.contracts.base import JSON
from concilium.contracts.limits import MIB
from concilium.workers.vision.cell import Answer
from concilium.workers.vision.colours import to_srgb
from concilium.workers.vision.decode import Decoded, flat, upright

PNG_BYTES = 2 * MIB
"""A picture from a lossless file is sent as PNG up to this size: screenshots and drawings keep their edges."""
JPEG_QUALITY = 90
_LOSSY = ("JPEG", "HEIF", "AVIF", "WEBP")
_SCALABLE = ("L", "LA", "RGB", "RGBA", "CMYK")


def for_engine(options: dict[str, JSON], files: Sequence[bytes]) -> Answer:
    """Return the picture's new file, and what it is; the job of a cell.

    Args:
        options: ``media_type`` (what the file was called) and ``side_px`` (the longest side that is sent).
        files: the one file.
    """
    side = int(options["side_px"])
    found = upright(files[0], options["media_type"], enough_px=side)
    image = _shrunk(found, side)
    data, media_type = _encoded(image, lossless=found.format not in _LOSSY)
    sent = {"media_type": media_type, "width": image.width, "height": image.height, "bytes": len(data)}
    return Answer({"sent": sent, "notes": [*found.notes]}, (data,))


def _shrunk(found: Decoded, side: int) -> Image.Image:
    image = found.image if found.image.mode in _SCALABLE else flat(found.image)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    bare = flat(to_srgb(image)).copy()
    bare.info = {}
    return bare


def _encoded(image: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    if lossless:
        data = _saved(image, "PNG")
        if len(data) <= PNG_BYTES:
            return data, "image/png"
    return _saved(image, "JPEG", quality=JPEG_QUALITY, subsampling=0), "image/jpeg"


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
