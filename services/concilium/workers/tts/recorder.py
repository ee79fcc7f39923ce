"""Writes speech to a file as it comes, so that an hour of it needs no more memory than a sentence."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile

from concilium.workers.runtime.limits import FILES_BYTES
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.sound import Sound, at_rate

_BLOCK = 4096
"""Samples handed to the encoder at once: libsndfile's Vorbis encoder puts a whole write on its stack."""
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATE_RANGE = (8000, 48000)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of audio file: libsndfile's names, and what it is called elsewhere."""

    name: str
    container: str
    coding: str
    media_type: str


FORMATS = {
    "wav": Format("wav", "WAV", "PCM_16", "audio/wav"),
    "mp3": Format("mp3", "MP3", "MPEG_LAYER_III", "audio/mpeg"),
    "ogg": Format("ogg", "OGG", "VORBIS", "audio/ogg"),
}


class Recorder:
    """One audio file under way; a context manager. The first sound decides on its sample rate."""

    def __init__(self, path: Path, form: Format, limit_s: float) -> None:
        self._path = path
        self._form = form
        self._limit_s = limit_s
        self._file: soundfile.SoundFile | None = None
        self._closed = False
        # A cancelled run closes the file while a thread may still write, and libsndfile does not bear that.
        self._lock = threading.Lock()
        self.rate = 0
        """Samples a second; 0 before the first sound."""
        self.count = 0
        """Samples so far."""
        self.heard = False
        """Whether anything but silence was written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()
                self._file = None

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self.count / self.rate if self.rate else 0.0

    async def write(self, sound: Sound, where: str) -> None:
        """Add a sound. Raises `SkillFailed` (``too-long``, naming ``where`` that was) instead of growing too long."""
        await asyncio.to_thread(self._write, sound)
        if self.seconds > self._limit_s:
            advice = "" if self._form.name != "wav" else "; formats mp3 and ogg may be longer"
            raise self._too_long(f"longer than {self._limit_s:g} s", where, advice)
        if self._bytes() > FILES_BYTES:
            raise self._too_long(f"larger than {FILES_BYTES} bytes", where, "; mp3 and ogg are smaller than wav")

    def content(self) -> bytes:
        """Close the file and return it."""
        self.__exit__(None, None, None)
        return self._path.read_bytes()

    def _write(self, sound: Sound) -> None:
        self.rate = self.rate or self._fitting(sound.rate)
        samples = at_rate(sound, self.rate).samples
        self.heard = self.heard or bool(np.any(samples))
        for begin in range(0, max(1, len(samples)), _BLOCK):
            with self._lock:
                if self._closed:
                    return
                self._opened().write(samples[begin : begin + _BLOCK])
        self.count += len(samples)

    def _opened(self) -> soundfile.SoundFile:
        if self._file is None:
            coding, container = self._form.coding, self._form.container
            self._file = soundfile.SoundFile(self._path, "w", self.rate, 1, coding, format=container)
        return self._file

    def _fitting(self, rate: int) -> int:
        within = min(max(rate, _RATE_RANGE[0]), _RATE_RANGE[1])
        return min(_MP3_RATES, key=lambda known: abs(known - within)) if self._form.name == "mp3" else within

    def _bytes(self) -> int:
        return self.count * 2 + 44 if self._form.name == "wav" else self._path.stat().st_size

    def _too_long(self, what: str, where: str, advice: str) -> SkillFailed:
        detail = f"the speech is {what}, reached in {where}; cut the text into parts or raise the speed{advice}"
        return SkillFailed("too-long", detail)
