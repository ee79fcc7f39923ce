"""Opens image bytes: `open_image` for every skill, in a cell; `decode` and `upright` for the jobs inside a cell.

`open_image` gives the picture as a person sees it: RGB of 8 bits, upright (the EXIF orientation applied, in a HEIC the
container's own rotation), what is transparent laid on white, the first frame of an animation, the main picture of a
file of several. `Decoded.orientation` is the orientation the file stated, 1 to 8; the image needs no more turning.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy
import pillow_heif
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import IFD

from concilium.contracts.base import JSON
from concilium.contracts.limits import IMAGE_PIXELS
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.vision.cell import Answer, in_cell
from concilium.workers.vision.kinds import FORMATS, refusal
from concilium.workers.vision.private import metadata

PIXELS_MAX = IMAGE_PIXELS
"""More are refused by the header alone."""
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error),
    *(KeyError, IndexError, TypeError, OverflowError),
    RuntimeError,  # of libheif and libavif
)
"""What Pillow raises on damaged files of its many formats."""
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/mpo": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "image/tif": "image/tiff",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of this EXIF orientation upright (Exif 3.0, tag 0x0112)."""
_ORIENTATION = 0x0112
_EXIF_PARTS = (IFD.Exif, IFD.GPSInfo, IFD.IFD1)
# Pillow's own limit is a process-wide warning; `_read` checks the header's size before a pixel is made.
Image.MAX_IMAGE_PIXELS = None
# Every decoder is loaded here, once: a cell can open no file, so it can load none.
Image.init()
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The first frame, upright, beside what the file said of itself."""

    image: Image.Image
    format: str
    """Pillow's name: PNG, JPEG, HEIF, …"""
    media_type: str
    """By the content, whatever the label."""
    mode: str
    """How the file stores a pixel, by Pillow's names: L, RGB, CMYK, …"""
    bits: int | None
    """Of one channel, where the file tells."""
    frames: int
    orientation: int | None
    has_alpha: bool
    dpi: tuple[float, float] | None
    exif: dict[str, JSON]
    """Its harmless values."""
    private: tuple[str, ...]
    """Kinds of private data in the file; their values are nowhere here."""
    notes: tuple[str, ...]


async def open_image(content: bytes, media_type: str) -> Decoded:
    """Return the image, decoded in a cell; cancelled within milliseconds.

    Raises:
        SkillFailed: ``not-an-image``, ``unsupported-format``, ``image-damaged``, ``image-too-large``,
            ``image-timeout``.
    """
    answer = await in_cell(_pixels, {"media_type": media_type}, content)
    facts, size = answer.found["facts"], answer.found["size"]
    (pixels,) = answer.parts
    for name in ("dpi", "private", "notes"):
        facts[name] = None if facts[name] is None else tuple(facts[name])
    return Decoded(image=Image.frombytes("RGB", tuple(size), pixels), **facts)


def _pixels(options: dict[str, JSON], files: Sequence[bytes]) -> Answer:
    found = decode(files[0], options["media_type"])
    facts = asdict(replace(found, image=Image.new("1", (1, 1))))
    del facts["image"]
    return Answer({"facts": facts, "size": found.image.size}, (found.image.tobytes(),))


def decode(data: bytes, media_type: str) -> Decoded:
    """Return the image as 8-bit RGB. Blocking and unbounded: for bytes from outside use `open_image`.

    Raises:
        SkillFailed: as `open_image`.
    """
    found = upright(data, media_type)
    try:
        return replace(found, image=flat(found.image))
    except _DAMAGE as error:
        raise _damaged() from error


def upright(data: bytes, media_type: str, enough_px: int | None = None) -> Decoded:
    """Return the image upright, with its own colours, transparency and ``info``. As `decode`, not for the agent itself.

    Args:
        data: the file.
        media_type: what it was called.
        enough_px: a JPEG may come smaller than it is, but with both sides at least so long: quick and small in memory.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            return _read(source, media_type, enough_px)
    except UnidentifiedImageError as error:
        raise refusal(data) from error
    except _DAMAGE as error:
        raise _damaged() from error


def _damaged() -> SkillFailed:
    return SkillFailed("image-damaged", "the image is truncated or damaged")


def _read(source: Image.Image, media_type: str, enough_px: int | None) -> Decoded:
    _check_size(source)
    kind, mode = ("JPEG" if source.format == "MPO" else source.format or ""), source.mode
    bits = _bits(source)
    actual = "image/heic" if kind == "HEIF" else Image.MIME.get(kind, "")
    frames = int(getattr(source, "n_frames", 1))
    stated = _orientation(source)
    dpi: JSON = source.info.get("dpi")
    if enough_px and kind == "JPEG":
        source.draft(None, (enough_px, enough_px))
    source.load()
    _check_size(source)
    own = source.info.get("original_orientation") if kind == "HEIF" else None
    exif, private = metadata(source)
    return Decoded(
        image=_turned(source, _orientation(source)),
        format=kind,
        media_type=actual,
        mode=mode,
        bits=bits,
        frames=frames,
        orientation=own or stated,
        has_alpha=source.has_transparency_data,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi else None,
        exif=exif,
        private=tuple(private),
        notes=(*_frame_notes(kind, frames), *_label_notes(media_type, actual), *_depth_notes(mode, bits)),
    )


def _check_size(source: Image.Image) -> None:
    if source.width * source.height > PIXELS_MAX:
        raise SkillFailed("image-too-large", f"{source.width} x {source.height} is more than {PIXELS_MAX} pixels")


def _orientation(source: Image.Image) -> int | None:
    """Return the EXIF orientation; None without one, or when the EXIF is broken: the picture itself may be whole.

    All of the EXIF is read by the way: a TIFF's can no longer be when the file is closed.
    """
    try:
        exif = source.getexif()
        value: JSON = exif.get(_ORIENTATION)
        for part in _EXIF_PARTS:
            exif.get_ifd(part)
    except _DAMAGE:
        return None
    return value if isinstance(value, int) else None


def _turned(image: Image.Image, orientation: int | None) -> Image.Image:
    turn = TURNS.get(orientation or 1)
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = dict(image.info)
    return turned


def _bits(source: Image.Image) -> int | None:
    """Return the bits of a channel: what the format says, else what the mode holds."""
    stated = source.info.get("bit_depth") or getattr(source, "tag_v2", {}).get(258)
    value = stated[0] if isinstance(stated, tuple) and stated else stated
    if isinstance(value, int):
        return value
    tiles = getattr(source, "tile", None)
    raw = str(tiles[0].args if tiles else "")
    if ";16" in raw or source.mode.startswith("I;16"):
        return 16
    return {"1": 1, "I": 32, "F": 32}.get(source.mode, 8)


def _frame_notes(kind: str, frames: int) -> list[str]:
    if frames < 2:
        return []
    if kind in ("HEIF", "JPEG"):
        return [f"{frames} pictures in the file; the main one was read"]
    return [f"{frames} frames; the first was read"]


def _label_notes(label: str, actual: str) -> list[str]:
    known = _ALIASES.get(label, label)
    if not known.startswith("image/") or known == actual:
        return []
    return [f"labelled {label}, but the content is {actual}"]


def _depth_notes(mode: str, bits: int | None) -> list[str]:
    notes = [f"{bits} bits a channel; read as 8"] if bits and bits > 8 else []
    return [*notes, "CMYK, made for print; the colours on a screen are approximate"] if mode == "CMYK" else notes


def flat(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB; deeper grey is scaled, transparency laid on white."""
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda v: v / 256).convert("L")
    elif image.mode == "F":
        image = _grey_of_floats(image)
    if image.has_transparency_data:
        above = image.convert("RGBA")
        paper = Image.new("RGB", above.size, "white")
        paper.paste(above, mask=above.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_of_floats(image: Image.Image) -> Image.Image:
    """Return 8-bit grey of floating-point samples, which reach to 1 or, in some files, to 255."""
    values = numpy.array(image)
    numpy.nan_to_num(values, copy=False)
    values *= 255 if values.max() <= 1 else 1
    numpy.rint(values, out=values)
    return Image.fromarray(values.clip(0, 255, out=values).astype(numpy.uint8))
