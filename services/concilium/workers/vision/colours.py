"""Colours: a picture's main ones, and its own colour space brought to sRGB."""

import io

from PIL import Image, ImageCms

from concilium.contracts.base import JSON

COLOURS = 4
_PROFILED = ("L", "RGB", "RGBA", "CMYK")


def main_colours(image: Image.Image) -> list[JSON]:
    """Return the main colours of an RGB image by median cut, largest share of the pixels first."""
    small = image.copy() if max(image.size) <= 128 else image.reduce(max(1, max(image.size) // 256))
    small.thumbnail((128, 128))
    reduced = small.quantize(COLOURS)
    palette = reduced.getpalette() or []
    counted = sorted(reduced.getcolors() or [], reverse=True)
    total = small.width * small.height
    return [
        {"hex": "#" + bytes(palette[3 * int(i) : 3 * int(i) + 3]).hex(), "share": count / total}
        for count, i in counted
        if isinstance(i, int)
    ]


def to_srgb(image: Image.Image) -> Image.Image:
    """Return the image in sRGB, by the ICC profile it carries; without one, or with a broken one, as it is."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or image.mode not in _PROFILED:
        return image
    target = image.mode if image.mode == "RGBA" else "RGB"
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode=target)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return image if shown is None else shown
