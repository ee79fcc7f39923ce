"""A copy of a picture that holds its pixels and nothing else: upright, in sRGB, without any metadata."""

import io
from dataclasses import dataclass
from pathlib import PurePath

from PIL import Image

from concilium.workers.vision.colours import to_srgb
from concilium.workers.vision.decode import Decoded, flat

_LOSSY = ("JPEG", "HEIF", "AVIF")
_JPEG = {"quality": 95, "subsampling": 0}
_PLAIN = ("1", "L", "P", "RGB", "RGBA", "I;16")
_MEDIA = {"PNG": ("png", "image/png"), "JPEG": ("jpg", "image/jpeg"), "WEBP": ("webp", "image/webp")}


@dataclass(frozen=True, slots=True)
class StrippedCopy:
    """The bytes of a new file."""

    data: bytes
    media_type: str
    ending: str


def stripped_copy(found: Decoded, content: bytes) -> StrippedCopy:
    """Return the copy: JPEG for an opaque JPEG, HEIC or AVIF, WebP for WebP, else PNG with the same pixels."""
    image = _plain(to_srgb(found.image))
    if found.format in _LOSSY and not found.has_alpha:
        return _saved(flat(image), "JPEG", **_JPEG)
    if found.format == "WEBP":
        lossless = content[12:16] == b"VP8L"
        return _saved(image if found.has_alpha else flat(image), "WEBP", quality=95, lossless=lossless, exact=lossless)
    return _saved(image, "PNG")


def stripped_name(name: str, ending: str) -> str:
    """Return the copy's file name."""
    return f"{PurePath(name).stem[:80] or 'image'}-clean.{ending}"


def _plain(image: Image.Image) -> Image.Image:
    """Return the pixels in a mode that PNG and WebP store, with nothing beside them."""
    if image.has_transparency_data and image.mode != "RGBA":
        image = image.convert("RGBA")
    elif image.mode not in _PLAIN:
        image = flat(image)
    bare = image.copy()
    bare.info = {}
    return bare


def _saved(image: Image.Image, kind: str, **options: int) -> StrippedCopy:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return StrippedCopy(out.getvalue(), _MEDIA[kind][1], _MEDIA[kind][0])
