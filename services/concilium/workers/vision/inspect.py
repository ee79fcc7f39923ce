"""``vision.inspect``: what an image file is. EXIF other than the orientation is never returned."""

from PIL import Image

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillResult
from concilium.workers.vision.decode import decode
from concilium.workers.vision.pool import on_thread

COLOURS = 4


async def inspect(ctx: SkillContext, data: JSON) -> SkillResult:
    """Describe the image; fails as `decode` does."""
    ref = data["image"]
    return SkillResult(await on_thread(describe, ctx.files[ref["sha256"]], ref["media_type"]))


def describe(content: bytes, media_type: str) -> dict[str, JSON]:
    """Return the output of ``vision.inspect``. Width and height are of the upright image."""
    found = decode(content, media_type)
    return {
        "format": found.format,
        "width": found.image.width,
        "height": found.image.height,
        "mode": found.mode,
        "bytes": len(content),
        "frames": found.frames,
        "exif_orientation": found.orientation,
        "colours": _colours(found.image),
        "has_alpha": found.has_alpha,
        "dpi": list(found.dpi) if found.dpi else None,
        "notes": list(found.notes),
    }


def _colours(image: Image.Image) -> list[JSON]:
    """Return the main colours by median cut, largest share of the pixels first."""
    small = image.copy()
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
