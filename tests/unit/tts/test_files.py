"""The files: formats, lengths, loudness, and an hour of speech in the memory of a sentence."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from concilium.workers.runtime.limits import FILES_BYTES
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.sound import Manner, Sound, at_rate, said_otherwise
from support.agents import ROOT
from unit.tts.conftest import SETTINGS, Say, samples_of

LONG = "The quick brown fox jumps over the lazy dog. "
MAGIC = {"wav": b"RIFF", "ogg": b"OggS"}
MEDIA = {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg"}


@pytest.mark.parametrize("form", ["wav", "mp3", "ogg"])
async def test_each_format_holds_the_whole_speech(say: Say, form: str) -> None:
    result = await say(text=LONG, format=form)
    (file,) = result.files
    assert (file.name, file.media_type) == (f"speech.{form}", MEDIA[form])
    assert file.data.startswith(MAGIC[form]) if form in MAGIC else file.data[:2] in (b"\xff\xfb", b"\xff\xf3")
    rate, samples = samples_of(result)
    assert rate == result.output["sample_rate"]
    assert len(samples) / rate == pytest.approx(result.output["duration_s"], abs=0.15)
    assert result.output["file"]["size"] == len(file.data)


@pytest.mark.parametrize("voice", ["en-us", "ru"])
async def test_loudness_is_sane_and_there_is_little_silence(say: Say, voice: str) -> None:
    _, samples = samples_of(await say(text="Twelve rivers. Двенадцать рек.", voice=voice))
    rms = float(np.sqrt((samples**2).mean()))
    assert 0.02 < rms < 0.4
    assert 0.1 < np.abs(samples).max() <= 1.0
    frames = samples[: len(samples) // 441 * 441].reshape(-1, 441)
    assert (np.abs(frames).max(axis=1) < 0.01).mean() < 0.5


async def test_the_same_text_makes_the_same_file(say: Say) -> None:
    assert (await say(text=LONG)).files == (await say(text=LONG)).files


async def test_pitch_is_heard_and_length_kept(say: Say) -> None:
    low, high = [await say(text=LONG, pitch=pitch) for pitch in (0.7, 1.4)]
    assert high.output["duration_s"] == pytest.approx(low.output["duration_s"], rel=0.1)
    assert pitch_of(*samples_of(high)) > 1.5 * pitch_of(*samples_of(low))


def pitch_of(rate: int, samples: np.ndarray) -> float:
    """Return the middle pitch in Hz, from the autocorrelation of the loud frames."""
    size = rate // 20
    found = []
    for begin in range(0, len(samples) - size, size):
        frame = samples[begin : begin + size]
        if (frame**2).mean() > 2 * (samples**2).mean():
            same = np.correlate(frame, frame, "full")[size - 1 :]
            lags = range(rate // 400, rate // 50)
            found.append(rate / max(lags, key=lambda lag: same[lag]))
    return float(np.median(found))


@pytest.mark.parametrize(("speed", "pitch"), [(1.0, 1.5), (1.0, 0.75), (1.6, 1.0), (0.6, 1.0), (1.3, 1.2)])
def test_a_tone_keeps_its_length_or_its_pitch_as_asked(speed: float, pitch: float) -> None:
    rate = 16000
    tone = (10000 * np.sin(2 * np.pi * 200 * np.arange(rate * 2) / rate)).astype(np.int16)
    changed = said_otherwise(Sound(rate, tone), Manner(speed, pitch)).samples.astype(float)
    assert len(changed) == pytest.approx(len(tone) / speed, rel=0.01)
    middle = changed[len(changed) // 4 : len(changed) // 4 * 3]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * rate / len(middle) == pytest.approx(200 * pitch, rel=0.03)


def test_another_rate_keeps_the_tone() -> None:
    tone = (10000 * np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)).astype(np.int16)
    changed = at_rate(Sound(16000, tone), 22050)
    assert len(changed.samples) == 22050
    assert np.abs(np.fft.rfft(changed.samples)).argmax() == 300


async def test_speech_with_breaks_alone_is_refused(say: Say) -> None:
    with pytest.raises(SkillFailed, match="nothing-to-say"):
        await say(text="<speak><break time='1s'/></speak>")


async def test_a_wav_that_grows_too_long_names_the_formats_that_may(say: Say) -> None:
    with pytest.raises(SkillFailed, match=r"too-long: .* longer than 5 s, .* formats mp3 and ogg may be longer"):
        await say(text=LONG * 8, settings={"audio_seconds_max": 5})
    assert (await say(text=LONG * 8, settings={"audio_seconds_max": 5}, format="ogg")).output["duration_s"] > 5


async def test_hours_of_speech_are_refused_in_every_format(say: Say) -> None:
    with pytest.raises(SkillFailed, match="too-long: the speech is longer than 6 s, reached in sentence 3 of 50"):
        await say(text=LONG * 50, settings={"small_audio_seconds_max": 6}, format="mp3")


async def test_minutes_of_speech_need_little_memory(say: Say) -> None:
    tracemalloc.start()
    try:
        result = await say(text=LONG * 200, format="mp3")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.output["duration_s"] > 500
    assert peak < 2 * len(result.files[0].data) + 8 * 2**20


def test_the_longest_small_file_fits_a_results_files() -> None:
    """At 10 kB a second; what encodes to more is refused by its size while it grows."""
    assert SETTINGS["small_audio_seconds_max"] * 6_000 < FILES_BYTES


CANCELLED = """
import asyncio, contextlib, pathlib, sys
import numpy as np
from concilium.workers.tts.recorder import FORMATS, Recorder
from concilium.workers.tts.sound import Sound

sound = Sound(22050, np.random.default_rng(1).integers(-9000, 9000, 22050 * 20, np.int16))


async def once(name):
    with Recorder(pathlib.Path(sys.argv[1]) / f"a.{name}", FORMATS[name], 9000) as recorder:
        writing = asyncio.ensure_future(recorder.write(sound, "here"))
        while not recorder.heard:
            await asyncio.sleep(0)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


for _ in range(10):
    for name in FORMATS:
        asyncio.run(once(name))
"""


def test_a_file_is_closed_safely_while_a_cancelled_run_still_writes(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    command = [sys.executable, "-c", CANCELLED, str(tmp_path)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
