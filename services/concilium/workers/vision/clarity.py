"""Makes a page's letters clear and of the size that tesseract reads best: grain smoothed, blur sharpened, scaled."""

import math
from typing import Any

import cv2
import numpy
from numpy.typing import NDArray

from concilium.workers.vision.sheet import Grey, Sheet

LETTER_PX = 24.0
"""Height of small letters aimed at, in pixels."""
ENOUGH_PX = 20.0
"""A sharp page whose letters are at least so high is not enlarged."""
LARGE_PX = 36.0
"""Letters above this height are brought down: larger ones are slower and no surer."""
ENLARGED_MAX = 2.5
PIXELS_MAX = 12_000_000
"""A page is not enlarged beyond this."""
GRAIN_MIN = 6.0
"""Standard deviation of the grain, in shades of 255, that is smoothed."""
BLUR_MIN = 1.0
"""Standard deviation of the blur, in pixels, that is undone; letters drawn sharp have up to 0.8."""
BLUR_MAX = 8.0
FRINGES_MIN = 0.4
"""Faint pixels to each pixel of ink, from which a page was packed by JPEG until its letters got fringes."""
FRINGED_BLUR_MAX = 0.9
"""A page more blurred than this has faint pixels of its blur."""
SMOOTHING = 0.8
"""Standard deviation of the Gaussian, in pixels, that takes light grain and fringes away."""
RINGING = 0.01
"""Noise-to-signal ratio of the Wiener filter: the smaller, the sharper and the more ringing."""


def readied(sheet: Sheet) -> Sheet:
    """Return the sheet as tesseract reads it best."""
    grain = grain_of(sheet.grey)
    blur = 0.0 if grain >= GRAIN_MIN else blur_of(sheet.grey)
    fringed = grain < GRAIN_MIN and blur < FRINGED_BLUR_MAX and fringes_of(sheet.grey) >= FRINGES_MIN
    if grain >= GRAIN_MIN:
        sheet = sheet.with_pixels(_smoothed(sheet.grey, grain))
    elif fringed:
        sheet = sheet.with_pixels(cv2.GaussianBlur(sheet.grey, (0, 0), SMOOTHING))
    rough = grain >= GRAIN_MIN or blur >= BLUR_MIN or fringed
    factor = _factor(sheet, letter_height(sheet.grey), rough=rough)
    sheet = sheet.scaled(factor)
    if blur >= BLUR_MIN:
        sheet = sheet.with_pixels(_sharpened(sheet.grey, min(BLUR_MAX, blur) * max(0.5, factor)))
    return sheet


def _factor(sheet: Sheet, height: float, *, rough: bool) -> float:
    if not height or (ENOUGH_PX <= height <= LARGE_PX and not rough):
        factor = 1.0
    else:
        factor = min(ENLARGED_MAX, LETTER_PX / height)
    most = math.sqrt(PIXELS_MAX / (sheet.width * sheet.height))
    return min(factor, float(most))


def grain_of(grey: Grey) -> float:
    """Return the standard deviation of a page's noise: median of the finest diagonal Haar details (Donoho 1994)."""
    rows, columns = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    even = grey[:rows, :columns].astype(numpy.float32)
    details = (even[::2, ::2] - even[1::2, ::2] - even[::2, 1::2] + even[1::2, 1::2]) / 2
    return float(numpy.median(numpy.abs(details))) / 0.6745 if details.size else 0.0


def blur_of(grey: Grey) -> float:
    """Return the standard deviation of a page's blur, from how little its edges mind being blurred again.

    At an edge blurred by s, a second blur of 1 lowers the gradient by R = sqrt(1 + 1/s²) (Zhuo and Sim, "Defocus map
    estimation from a single image", Pattern Recognition 44, 2011); the median over the strongest edges is taken.
    """
    shades = _middle(grey).astype(numpy.float32)
    first, second = _slopes(shades), _slopes(cv2.GaussianBlur(shades, (0, 0), 1.0))
    crests = (first >= cv2.dilate(first, numpy.ones((3, 3)))) & (first > 0.35 * numpy.percentile(first, 99.5))
    if not crests.any() or first.max() < 1:
        return 0.0
    ratio = first[crests] / numpy.maximum(second[crests], 1e-3)
    return float(numpy.median(1 / numpy.sqrt(numpy.maximum(ratio**2 - 1, 1e-2))))


def fringes_of(grey: Grey) -> float:
    """Return how many pixels are nearly, but not quite, of the paper's shade, to each that is ink."""
    shades = _middle(grey).astype(numpy.int16)
    off = numpy.abs(shades - int(numpy.median(shades)))
    return float(((off > 3) & (off < 40)).sum() / max(1, (off >= 40).sum()))


def _middle(grey: Grey, side: int = 1500) -> Grey:
    """Return the middle of a large page: enough to judge it by."""
    top, left = max(0, (grey.shape[0] - side) // 2), max(0, (grey.shape[1] - side) // 2)
    return grey[top : top + side, left : left + side]


def _slopes(shades: NDArray[Any]) -> NDArray[Any]:
    across, down = cv2.Sobel(shades, cv2.CV_32F, 1, 0), cv2.Sobel(shades, cv2.CV_32F, 0, 1)
    return numpy.asarray(cv2.magnitude(across, down))


def letter_height(grey: Grey) -> float:
    """Return the median height of what looks like letters, in pixels; 0 without any."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    _, ink = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    if ink.mean() > 127:
        ink = cv2.bitwise_not(ink)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink)
    widths, heights = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    letters = heights[(heights > 4) & (heights < grey.shape[0] / 4) & (widths > 1) & (widths < 5 * heights)]
    return float(numpy.median(letters)) if letters.size >= 3 else 0.0


def _smoothed(grey: Grey, grain: float) -> Grey:
    """Return the page without its grain: lightly blurred; where that is not enough, by non-local means."""
    if grain < 28:
        return numpy.asarray(cv2.GaussianBlur(grey, (0, 0), SMOOTHING))
    return numpy.asarray(cv2.fastNlMeansDenoising(grey, None, grain, 5, 15))


def _sharpened(grey: Grey, blur: float) -> Grey:
    """Undo a Gaussian blur by a Wiener filter, on the page mirrored at its edges."""
    margin = round(4 * blur)
    shades = cv2.copyMakeBorder(grey, margin, margin, margin, margin, cv2.BORDER_REFLECT).astype(numpy.float32)
    rows = numpy.fft.fftfreq(shades.shape[0])[:, None].astype(numpy.float32)
    columns = numpy.fft.rfftfreq(shades.shape[1])[None].astype(numpy.float32)
    transfer = numpy.exp(-2 * (numpy.pi * blur) ** 2 * (rows**2 + columns**2))
    spectrum = numpy.fft.rfft2(shades) * (transfer / (transfer**2 + RINGING))
    sharp = numpy.fft.irfft2(spectrum, shades.shape)[margin : margin + grey.shape[0], margin : margin + grey.shape[1]]
    return numpy.clip(sharp, 0, 255).astype(numpy.uint8)
