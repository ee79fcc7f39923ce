"""flite and festival as child processes: their voices speak, hostile text stays text, nothing outlives a run."""

import asyncio
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts import describe_engines, festival, flite
from unit.tts.conftest import Say, samples_of

FLITE = [f"flite/{name}" for name in flite.voices()]
ENGLISH = [f"festival/{name}" for name, language in festival.voices().items() if language == "en"]
RUSSIAN = [f"festival/{name}" for name, language in festival.voices().items() if language == "ru"]
HOSTILE = [
    '") (system "touch {path}") (print "',
    "(system \"touch {path}\")",
    "$(touch {path}) `touch {path}` ; touch {path} | touch {path}",
    "-o {path} -t hello --seti x=1",
    '<?xml version="1.0"?><!DOCTYPE SABLE SYSTEM "file:///etc/passwd"><SABLE>hello (quit)</SABLE>',
    ";; -*- mode: scheme -*-\n(quit)",
    "%s%n%x \\ \" ' \x07 \x1b[31m hello",
    "word " * 110,
    "a" * 500,
    "?!.,;:-()" * 40 + " hello",
]  # fmt: skip


def test_all_engines_of_this_group_are_here() -> None:
    assert {report.name for report in describe_engines() if report.available} == {"espeak-ng", "flite", "festival"}
    assert "flite/slt" in FLITE
    assert ENGLISH
    assert RUSSIAN


@pytest.mark.parametrize("voice", [*FLITE, *ENGLISH])
async def test_every_english_voice_speaks_audibly_at_its_speed(say: Say, voice: str) -> None:
    plain = await say(text="The weather is nice today.", voice=voice)
    rate, samples = samples_of(plain)
    assert rate == plain.output["sample_rate"]
    assert 0.01 < float(np.sqrt((samples**2).mean())) < 0.5
    fast = await say(text="The weather is nice today.", voice=voice, speed=1.6)
    assert fast.output["duration_s"] == pytest.approx(plain.output["duration_s"] / 1.6, rel=0.2)


@pytest.mark.parametrize("voice", RUSSIAN)
async def test_a_russian_voice_makes_sound_of_russian_and_of_latin_words(say: Say, voice: str) -> None:
    for text in ("Доброе утро, сегодня 5 марта.", "Это Windows и ёлка № 5", "The English sentence"):
        rate, samples = samples_of(await say(text=text, voice=voice))
        assert len(samples) / rate > 0.7
        assert float(np.sqrt((samples**2).mean())) > 0.005


@pytest.mark.parametrize("voice", [*FLITE[:1], *ENGLISH[:1]])
async def test_an_english_voice_refuses_a_russian_sentence(say: Say, voice: str) -> None:
    with pytest.raises(SkillFailed, match=r"voice-language: .* a sentence of the text is Russian"):
        await say(text="Hello. Привет.", voice=voice)


@pytest.mark.parametrize("voice", ["flite/slt", "festival/kal_diphone", *RUSSIAN[:1]])
@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_spoken_and_does_nothing(say: Say, tmp_path: Path, voice: str, text: str) -> None:
    target = tmp_path / "taken"
    result = await say(text=text.replace("{path}", str(target)), voice=voice, markup="text")
    assert result.output["duration_s"] > 0.2
    assert not target.exists()


@pytest.mark.parametrize(
    "voice", ["festival/kal) (quit", "festival/../../x", "festival/nobody", "flite/nobody", "flite/-lv"]
)
async def test_a_voice_that_was_not_found_here_never_reaches_the_program(say: Say, voice: str) -> None:
    with pytest.raises(SkillFailed, match="unknown-voice"):
        await say(text="hello", voice=voice)


async def test_what_lies_in_the_users_home_is_not_run(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "taken"
    (tmp_path / ".festivalrc").write_text(f'(system "touch {target}")')
    monkeypatch.setenv("HOME", str(tmp_path))
    await say(text="hello", voice="festival/kal_diphone")
    assert not target.exists()


def children() -> list[int]:
    """Return the processes this one has started and that still run."""
    return [process.pid for process in psutil.Process().children(recursive=True)]


@pytest.mark.parametrize("voice", ["flite/slt", "festival/cmu_us_slt_arctic_hts"])
async def test_a_cancelled_run_ends_within_a_second_and_leaves_no_process(say: Say, voice: str) -> None:
    before, speaking = children(), asyncio.Event()

    async def report(_fraction: float | None, _message: str) -> None:
        speaking.set()

    run = asyncio.create_task(
        say(text="The quick brown fox jumps over the lazy dog. " * 50, voice=voice, report=report)
    )
    await speaking.wait()
    began = time.monotonic()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert time.monotonic() - began < 1
    assert children() == before


@pytest.mark.parametrize("voice", ["flite/slt", "festival/cmu_us_slt_arctic_hts"])
async def test_a_sentence_that_takes_too_long_ends_the_program(say: Say, voice: str) -> None:
    before = children()
    with pytest.raises(SkillFailed, match="speech-timeout"):
        await say(text="The quick brown fox.", voice=voice, settings={"sentence_timeout_s": 0.01})
    assert children() == before


async def test_one_text_may_have_voices_of_several_engines(say: Say) -> None:
    text = "<speak>One. <voice name='flite/slt'>Two.</voice> <voice name='festival/kal_diphone'>Three.</voice></speak>"
    output = (await say(text=text, format="ogg")).output
    assert output["engine"] == "espeak-ng+flite+festival"
    assert output["sample_rate"] == 22050
