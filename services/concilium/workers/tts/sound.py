"""Samples and what is done to them: other rate, other speed, other pitch, other loudness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
_FULL = 32767.0
_FRAME_S = 0.03
"""Length of the pieces that speech is cut into to change its speed: two periods of a low voice."""
_SEARCH_S = 0.008
"""How far a piece may be moved to fit the one before it: one period of a low voice."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples and how many of them there are a second."""

    rate: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class Manner:
    """How a sentence is said, as factors of the voice's own speed and pitch."""

    speed: float = 1.0
    pitch: float = 1.0


NATURAL = Manner()
"""The voice's own speed and pitch."""


def silence(seconds: float, rate: int) -> Sound:
    """Return silence."""
    return Sound(rate, np.zeros(round(seconds * rate), np.int16))


def louder(sound: Sound, decibels: float) -> Sound:
    """Return the sound louder (or, below 0, softer); what would be too loud is cut off."""
    if decibels == 0:
        return sound
    scaled = sound.samples.astype(np.float32) * np.float32(10 ** (decibels / 20))
    return Sound(sound.rate, _whole(scaled))


def at_rate(sound: Sound, rate: int) -> Sound:
    """Return the sound with another sample rate."""
    if sound.rate == rate or not len(sound.samples):
        return Sound(rate, sound.samples)
    count = max(1, round(len(sound.samples) * rate / sound.rate))
    return Sound(rate, _whole(_resampled(sound.samples.astype(np.float32), count)))


def said_otherwise(sound: Sound, manner: Manner) -> Sound:
    """Return the sound at another speed and pitch, for engines that cannot do that themselves.

    Speech is stretched by overlapping similar pieces (WSOLA: Verhelst and Roelands, 1993); a pitch is changed by
    stretching and then resampling to the wanted length.
    """
    stretch = manner.pitch / manner.speed
    samples = sound.samples.astype(np.float32)
    if abs(stretch - 1) > 0.01:
        samples = _stretched(samples, stretch, sound.rate)
    if abs(manner.pitch - 1) > 0.01 and len(samples):
        samples = _resampled(samples, max(1, round(len(samples) / manner.pitch)))
    return Sound(sound.rate, _whole(samples))


def _stretched(samples: NDArray[np.float32], factor: float, rate: int) -> NDArray[np.float32]:
    frame = max(4, round(_FRAME_S * rate) // 2 * 2)
    hop, reach = frame // 2, round(_SEARCH_S * rate)
    count = int(len(samples) * factor) // hop
    source = np.pad(samples, (reach, frame + 2 * reach + hop))
    window = np.hanning(frame + 1)[:frame].astype(np.float32)
    out = np.zeros((count + 2) * hop, np.float32)
    wanted = source[reach : reach + frame]
    for number in range(count):
        begin = int(number * hop / factor)
        around = source[begin : begin + frame + 2 * reach]
        offset = int(np.argmax(np.correlate(around, wanted, "valid"))) if number else reach
        out[number * hop : number * hop + frame] += window * around[offset : offset + frame]
        following = begin + offset + hop
        wanted = source[following : following + frame]
    return out[: round(len(samples) * factor)]


def _resampled(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return as many samples of the same signal, its spectrum cut off or continued with zeros."""
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, spectrum.dtype)
    common = min(len(spectrum), len(kept))
    kept[:common] = spectrum[:common]
    return (np.fft.irfft(kept, count) * (count / len(samples))).astype(np.float32)


def _whole(samples: NDArray[np.float32]) -> Samples:
    return np.rint(np.clip(samples, -_FULL - 1, _FULL)).astype(np.int16)
