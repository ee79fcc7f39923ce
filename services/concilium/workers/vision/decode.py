"""Opens image bytes safely: one function, for every skill. Blocking; call it on a thread."""

import io
import struct
from dataclasses import dataclass

import numpy
from PIL import Image, ImageOps, UnidentifiedImageError

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillFailed

PIXELS_MAX = 64_000_000
"""More are refused by the header alone."""
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM")
_HEIC = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif")
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, struct.error, KeyError, IndexError, TypeError, OverflowError)
"""What Pillow raises on damaged files of its many formats."""
# Pillow's own limit is a process-wide warning; `_read` checks the header's size before a pixel is made.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """The first frame, upright and RGB, beside what the file said of itself."""

    image: Image.Image
    format: str
    mode: str
    frames: int
    orientation: int | None
    has_alpha: bool
    dpi: tuple[float, float] | None
    notes: tuple[str, ...]


def decode(data: bytes, media_type: str) -> Decoded:
    """Return the image.

    Raises:
        SkillFailed: ``not-an-image``, ``unsupported-format``, ``image-too-large`` or ``image-damaged``.
    """
    _refuse_by_content(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            return _read(source, media_type)
    except UnidentifiedImageError as error:
        raise SkillFailed("not-an-image", f"the bytes are no image of a known format ({', '.join(FORMATS)})") from error
    except _DAMAGE as error:
        raise SkillFailed("image-damaged", "the image is truncated or damaged") from error


def _refuse_by_content(data: bytes) -> None:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC:
        raise SkillFailed("unsupported-format", "HEIC and AVIF are not read; convert the image to JPEG or PNG")
    if data.startswith(b"%PDF-"):
        raise SkillFailed("unsupported-format", "PDF is a document, not an image; render its pages to PNG first")
    if b"<svg" in data[:2048].replace(b"\0", b"").lower():
        raise SkillFailed("unsupported-format", "SVG is a drawing, not pixels; render it to PNG first")


def _read(source: Image.Image, media_type: str) -> Decoded:
    if source.width * source.height > PIXELS_MAX:
        raise SkillFailed("image-too-large", f"{source.width} x {source.height} is more than {PIXELS_MAX} pixels")
    kind, mode = source.format or "", source.mode
    frames = int(getattr(source, "n_frames", 1))
    notes = [f"{frames} frames; the first was read"] if frames > 1 else []
    actual = Image.MIME.get(kind, "")
    if media_type.startswith("image/") and actual != media_type:
        notes.append(f"labelled {media_type}, but the content is {actual}")
    orientation: JSON = source.getexif().get(0x0112)
    dpi: JSON = source.info.get("dpi")
    alpha = source.has_transparency_data
    return Decoded(
        image=_rgb(ImageOps.exif_transpose(source)),
        format=kind,
        mode=mode,
        frames=frames,
        orientation=orientation if isinstance(orientation, int) else None,
        has_alpha=alpha,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        notes=tuple(notes),
    )


def _rgb(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB; deeper grey is scaled, transparency laid on white."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda v: v / 256).convert("L")
    elif image.mode == "F":
        image = _grey_of_floats(image)
    if image.has_transparency_data:
        above = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    return image.convert("RGB")


def _grey_of_floats(image: Image.Image) -> Image.Image:
    """Return 8-bit grey of floating-point samples, which reach to 1 or, in some files, to 255."""
    values = numpy.nan_to_num(numpy.asarray(image))
    scale = 255 if values.max() <= 1 else 1
    return Image.fromarray(numpy.clip(numpy.rint(values * scale), 0, 255).astype(numpy.uint8))
