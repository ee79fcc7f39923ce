"""Images of PDF pages."""

import io
import math
from typing import Any, Literal

from concilium.workers.document import limits

MediaType = Literal["image/png", "image/jpeg"]
_SIDE_MAX = 20_000
_POINTS_PER_INCH = 72


def draw(page: Any, *, grey: bool) -> tuple[MediaType, bytes] | None:
    """Return the image of a page as it is shown, at `limits.DPI` or as near as its size allows.

    PNG, or JPEG when that is much smaller; None when the page has a size that nothing can be drawn on.
    """
    width, height = page.get_size()
    scale = scale_of(width, height)
    if scale is None:
        return None
    bitmap = page.render(scale=scale, grayscale=grey, rev_byteorder=not grey)
    image = bitmap.to_pil()
    try:
        return encode(image)
    finally:
        image.close()
        bitmap.close()


def scale_of(width: float, height: float) -> float | None:
    """Return pixels to a point for a page of so many points, None when it cannot be drawn."""
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        return None
    scale = min(
        limits.DPI / _POINTS_PER_INCH,
        math.sqrt(limits.PAGE_PIXELS / (width * height)),
        _SIDE_MAX / max(width, height),
    )
    return scale if min(width, height) * scale >= 1 else None


def encode(image: Any) -> tuple[MediaType, bytes]:
    """Return an image as PNG, or as JPEG when its PNG is large."""
    out = io.BytesIO()
    # Fast compression first: most scans become JPEG anyway.
    image.save(out, "PNG", compress_level=3)
    if out.tell() <= limits.PNG_BYTES:
        return "image/png", out.getvalue()
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82)
    return "image/jpeg", out.getvalue()
