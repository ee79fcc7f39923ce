"""tts.speak through its skill function, with the real engine in its child process."""

import array
import asyncio
import io
import math
import os
import subprocess
import sys
import wave
from pathlib import Path

import psutil
import pytest
import yaml

from concilium.contracts.base import JSON
from concilium.workers.runtime.limits import FILES_BYTES
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult
from concilium.workers.tts import describe_engines, skills
from concilium.workers.tts.library import find_library, system_library

ROOT = Path(__file__).resolve().parents[3]

LONG = "The quick brown fox jumps over the lazy dog."


async def say(path: Path, **data: JSON) -> SkillResult:
    return await skills["tts.speak"](SkillContext("t.s.1", {}, {}, path), data)


async def test_speech_is_a_valid_wav_of_sane_loudness(tmp_path: Path) -> None:
    result = await say(tmp_path, text=LONG)
    with wave.open(io.BytesIO(result.files[0].data)) as sound:
        samples = array.array("h", sound.readframes(sound.getnframes()))
        assert sound.getframerate() == result.output["sample_rate"]
    rms = math.sqrt(sum(s * s for s in samples) / len(samples))
    assert 500 < rms < 15000
    assert sum(abs(s) >= 32767 for s in samples) < len(samples) / 1000


async def test_duration_follows_length_and_speed(tmp_path: Path) -> None:
    once = (await say(tmp_path, text=LONG)).output["duration_s"]
    assert 3 < (await say(tmp_path, text=" ".join([LONG] * 4))).output["duration_s"] / once < 5
    assert (await say(tmp_path, text=LONG, speed=2.0)).output["duration_s"] < 0.7 * once


async def test_each_sentence_is_spoken_in_its_language(tmp_path: Path) -> None:
    output = (await say(tmp_path, text="Good morning. Доброе утро.")).output
    assert (output["language"], output["voice"]) == ("mixed", "en-us+ru")


async def test_markup_is_spoken_as_text(tmp_path: Path) -> None:
    plain = (await say(tmp_path, text="hello")).output["duration_s"]
    assert (await say(tmp_path, text='<break time="9s"/>hello\x01')).output["duration_s"] > plain


@pytest.mark.parametrize("text", ["", " \n", "\x00\x01", "..."])
async def test_text_without_words_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SkillFailed, match="nothing-to-say"):
        await say(tmp_path, text=text)


async def test_an_unknown_voice_fails_clearly(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match=r"unknown-voice: no voice .zzz.; there are: en-us, ru"):
        await say(tmp_path, text="hello", voice="zzz")


async def test_a_voice_of_the_list_speaks_the_whole_text(tmp_path: Path) -> None:
    voices = {"en-us": "en", "en-gb-scotland": "en", "ru": "ru"}
    context = SkillContext("t.s.1", {}, {"voices": voices}, tmp_path)
    speak = skills["tts.speak"]
    scottish = await speak(context, {"text": "Twelve rivers", "voice": "en-gb-scotland"})
    plain = await speak(context, {"text": "Twelve rivers"})
    assert (scottish.output["voice"], plain.output["voice"]) == ("en-gb-scotland", "en-us")
    assert scottish.files[0].data != plain.files[0].data


async def test_a_voice_of_another_language_is_refused_with_those_that_fit(tmp_path: Path) -> None:
    with pytest.raises(SkillFailed, match="voice-language: voice 'ru' speaks ru, not en; voices for en: en-us"):
        await say(tmp_path, text="hello", voice="ru", language="en")


async def test_every_voice_that_is_offered_speaks(tmp_path: Path) -> None:
    settings = yaml.safe_load((ROOT / "agents" / "tts" / "agent.yaml").read_text())["settings"]
    spoken = set()
    for voice in settings["voices"]:
        context = SkillContext("t.s.1", {}, settings, tmp_path)
        spoken.add((await skills["tts.speak"](context, {"text": "hello", "voice": voice})).files[0].data)
    assert len(spoken) >= 6


@pytest.mark.parametrize(("text", "language"), [("1945, 12%", "en"), ("Год 1945. 1946. 1947.", "ru"), ("В 1945", "ru")])
async def test_numbers_are_spoken_in_the_language_beside_them_else_in_english(
    tmp_path: Path, text: str, language: str
) -> None:
    assert (await say(tmp_path, text=text)).output["language"] == language


async def test_the_same_number_sounds_different_in_russian(tmp_path: Path) -> None:
    russian, english = [await say(tmp_path, text="12", language=code) for code in ("ru", "en")]
    assert russian.files[0].data != english.files[0].data


def test_a_russian_word_has_russian_phonemes() -> None:
    assert phonemes("ru", "молоко") != phonemes("en-us", "молоко")
    assert "k" in phonemes("ru", "молоко")


def phonemes(voice: str, text: str) -> str:
    """Return a word's phonemes, through the library in a process of its own."""
    library = find_library()
    assert library is not None
    program = (
        "import ctypes, sys\n"
        "library = ctypes.CDLL(sys.argv[1])\n"
        "library.espeak_Initialize(2, 0, sys.argv[2].encode() or None, 0)\n"
        "assert library.espeak_SetVoiceByName(sys.argv[3].encode()) == 0\n"
        "library.espeak_TextToPhonemes.restype = ctypes.c_char_p\n"
        "text = ctypes.c_char_p(sys.argv[4].encode())\n"
        "sys.stdout.buffer.write(library.espeak_TextToPhonemes(ctypes.byref(text), 1, 2))\n"
    )
    command = [sys.executable, "-X", "utf8", "-c", program, library.path, library.data, voice, text]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout.decode()


async def test_progress_is_told_by_sentence(tmp_path: Path) -> None:
    told: list[tuple[float | None, str]] = []

    async def report(fraction: float | None, message: str) -> None:
        told.append((fraction, message))

    await skills["tts.speak"](
        SkillContext("t.s.1", {}, {}, tmp_path, report=report), {"text": "One. Two. Three. Four."}
    )
    assert told == [(number / 4, f"sentence {number} of 4") for number in (1, 2, 3, 4)]


async def test_speech_that_grows_too_long_is_refused(tmp_path: Path) -> None:
    context = SkillContext("t.s.1", {}, {"audio_seconds_max": 5}, tmp_path)
    with pytest.raises(SkillFailed, match="too-long: the speech is longer than 5 s, reached in sentence 2 of 8"):
        await skills["tts.speak"](context, {"text": " ".join([LONG] * 8)})


def test_the_longest_speech_fits_a_results_files() -> None:
    settings = yaml.safe_load((ROOT / "agents" / "tts" / "agent.yaml").read_text())["settings"]
    assert settings["audio_seconds_max"] * 22050 * 2 + 44 < FILES_BYTES


def children() -> list[int]:
    """Return the processes this one has started and that still run."""
    return [process.pid for process in psutil.Process().children(recursive=True)]


async def test_a_cancelled_run_leaves_no_process(tmp_path: Path) -> None:
    before, speaking = children(), asyncio.Event()

    async def report(_fraction: float | None, _message: str) -> None:
        speaking.set()

    context = SkillContext("t.s.1", {}, {}, tmp_path, report=report)
    run = asyncio.create_task(skills["tts.speak"](context, {"text": " ".join([LONG] * 200)}))
    await speaking.wait()
    assert len(children()) == len(before) + 1
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert children() == before


async def test_a_sentence_that_takes_too_long_ends_the_child(tmp_path: Path) -> None:
    before = children()
    context = SkillContext("t.s.1", {}, {"sentence_timeout_s": 0.001}, tmp_path)
    with pytest.raises(SkillFailed, match="speech-timeout"):
        await skills["tts.speak"](context, {"text": LONG})
    assert children() == before


def test_the_library_is_never_loaded_by_the_service() -> None:
    program = "import concilium.workers.tts as t; print(t.describe_engines()); print(open('/proc/self/maps').read())"
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "services")}
    out = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environ).stdout.decode()
    assert "libespeak" not in out.split("\n", 1)[1]


@pytest.mark.skipif(system_library() is None, reason="apt-get install libespeak-ng1")
async def test_the_systems_library_speaks_where_the_wheel_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_library.cache_clear()
    monkeypatch.setattr("concilium.workers.tts.library.find_spec", lambda _name: None)
    try:
        assert "system" in describe_engines()[0].found
        assert (await say(tmp_path, text="Доброе утро")).output["duration_s"] > 0.3
    finally:
        find_library.cache_clear()
