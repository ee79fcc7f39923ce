"""tts.speak through its skill function, with the real engine in its child process."""

import array
import io
import math
import wave
from pathlib import Path

import pytest

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult
from concilium.workers.tts import skills

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
    with pytest.raises(SkillFailed, match="unknown-voice: no voice .zzz.; there are: en-us, ru"):
        await say(tmp_path, text="hello", voice="zzz")
