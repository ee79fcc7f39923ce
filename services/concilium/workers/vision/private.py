"""What a picture's metadata says: the harmless part by value, the private part only by kind."""

import math

from PIL import Image
from PIL.ExifTags import IFD

from concilium.contracts.base import JSON

_HARMLESS = {
    0x829A: "exposure_time_s",
    0x829D: "f_number",
    0x8827: "iso",
    0x920A: "focal_length_mm",
    0xA405: "focal_length_35mm",
    0x9209: "flash",
    0xA403: "white_balance",
}
"""Of Exif 3.0: numbers about the exposure; they name neither person, place, time nor device."""
_PRIVATE = {
    "time": {0x0132, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012},
    "device": {0x010F, 0x0110, 0x0131, 0x013C, 0xA433, 0xA434, 0xC614},
    "serial-number": {0xA431, 0xA435, 0xC62F, 0xA420},
    "owner": {0x013B, 0x8298, 0x9C9D, 0xA430},
    "comment": {0x010E, 0x9286, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F},
    "maker-note": {0x927C},
    "iptc": {0x83BB, 0x8649},
    "xmp": {0x02BC},
}
_BROKEN = (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, OverflowError, EOFError)


def metadata(image: Image.Image) -> tuple[dict[str, JSON], list[str]]:
    """Return the harmless values, and the kinds of private data found: no value of those is ever returned."""
    try:
        tags, kinds = _exif(image)
    except _BROKEN:
        tags, kinds = {}, {"unreadable-exif"}
    harmless = {name: number for tag, name in _HARMLESS.items() if (number := _number(tags.get(tag))) is not None}
    kinds |= {kind for kind, members in _PRIVATE.items() if members & tags.keys()}
    kinds |= _beside_exif(image)
    return harmless, sorted(kinds)


def _exif(image: Image.Image) -> tuple[dict[int, JSON], set[str]]:
    exif = image.getexif()
    found = {"location"} if exif.get_ifd(IFD.GPSInfo) else set()
    if image.format != "TIFF" and exif.get_ifd(IFD.IFD1):  # in a TIFF it is the second page
        found.add("thumbnail")
    return {**dict(exif), **exif.get_ifd(IFD.Exif)}, found


def _beside_exif(image: Image.Image) -> set[str]:
    """Return what formats keep outside EXIF: XMP, Photoshop's blocks, comments, the text chunks of a PNG."""
    info = image.info
    found = {"xmp"} if info.get("xmp") or info.get("XML:com.adobe.xmp") else set()
    if info.get("photoshop"):
        found.add("iptc")
    if info.get("thumbnails"):
        found.add("thumbnail")
    texts = [key for key in getattr(image, "text", {}) if key != "XML:com.adobe.xmp"]
    return found | {"comment"} if texts or info.get("comment") else found


def _number(value: JSON) -> float | int | None:
    """Return a finite number, or None for what is none: a text under a number's tag stays out."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else round(number, 6)
