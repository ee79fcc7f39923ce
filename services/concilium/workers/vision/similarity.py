"""How alike two pictures are, as numbers that are known in the field."""

from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image

HASH_BITS = 64
_SSIM_SIDE = 256
_SSIM_PIXELS = 4_000_000
_RADIUS, _SIGMA = 5, 1.5
_K1, _K2, _RANGE = 0.01, 0.03, 255.0
_HASH_SIDE, _HASH_LOW = 32, 8

Values = NDArray[Any]


def ssim(first: Image.Image, second: Image.Image) -> float:
    """Return the mean structural similarity of two grey images of one size: 1 for equal ones, about 0 for unrelated.

    Wang, Bovik, Sheikh, Simoncelli: "Image quality assessment: from error visibility to structural similarity", IEEE
    Transactions on Image Processing 13(4), 2004: a Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03. As
    the authors advise, larger images are first averaged down until the shorter side has about 256 pixels.
    """
    x, y = _averaged(first), _averaged(second)
    blur = _windowed if min(x.shape) > 2 * _RADIUS else _whole
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(numpy.mean(above / below))


def _averaged(image: Image.Image) -> Values:
    factor = max(1, round(min(image.size) / _SSIM_SIDE))
    small = image.reduce(factor) if factor > 1 else image
    if small.width * small.height > _SSIM_PIXELS:  # a ribbon
        shrink = (_SSIM_PIXELS / (small.width * small.height)) ** 0.5
        size = (max(1, int(small.width * shrink)), max(1, int(small.height * shrink)))
        small = small.resize(size, Image.Resampling.BOX)
    return numpy.asarray(small, dtype=numpy.float64)


def _windowed(values: Values) -> Values:
    """Return the Gaussian means around every pixel whose window lies in the image."""
    places = numpy.arange(-_RADIUS, _RADIUS + 1)
    weights = numpy.exp(-(places**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    height, width = values.shape
    down = sum(w * values[i : height - 2 * _RADIUS + i] for i, w in enumerate(weights))
    across: Values = sum(w * down[:, i : width - 2 * _RADIUS + i] for i, w in enumerate(weights))
    return across


def _whole(values: Values) -> Values:
    """Return the one mean of an image too small for the window."""
    return numpy.array([[values.mean()]])


def perceptual_hash(grey: Image.Image) -> int:
    """Return 64 bits that say which low frequencies of a grey image are strong; alike images differ in few.

    The "pHash" of Zauner: "Implementation and benchmarking of perceptual image hash functions", 2010: 32 x 32 pixels, a
    DCT-II, its 8 x 8 lowest frequencies, each a bit: above their median or not.
    """
    small = numpy.asarray(grey.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS), dtype=numpy.float64)
    steps = numpy.arange(_HASH_SIDE)
    cosines = numpy.cos(numpy.pi * numpy.outer(steps[:_HASH_LOW], 2 * steps + 1) / (2 * _HASH_SIDE))
    # Rounded, so that the noise of arithmetic gives an empty picture no hash of its own.
    low = numpy.round(cosines @ small @ cosines.T, 3).ravel()
    middle = numpy.sort(low)[HASH_BITS // 2 - 1 : HASH_BITS // 2 + 1].mean()
    return int("".join("1" if value > middle else "0" for value in low), 2)


def distance(first: int, second: int) -> int:
    """Return how many bits of two hashes differ."""
    return (first ^ second).bit_count()
