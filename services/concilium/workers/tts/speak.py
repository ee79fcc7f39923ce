"""``tts.speak``: text to a WAV file, sentence by sentence."""

import asyncio
import io
import wave
from collections.abc import Mapping

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillResult
from concilium.workers.tts.engine import running_engine
from concilium.workers.tts.sentences import clean, split
from concilium.workers.tts.voices import ENGINE, cast, known_voices

SAMPLE_BYTES = 2
AUDIO_SECONDS_MAX = 720.0
"""At 22,050 samples a second just below the size of a result's files."""


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Speak one word, so that a missing engine shows at start."""
    async with running_engine(_timeout_s(settings)) as engine:
        await engine.say("ready", next(iter(known_voices(settings))), 1.0)


async def speak(ctx: SkillContext, data: JSON) -> SkillResult:
    """Speak the text into ``speech.wav``.

    Raises:
        SkillFailed: ``nothing-to-say``, ``too-long``, ``silence``, or as `cast` and `running_engine`.
    """
    text = clean(data["text"])
    sentences = split(text)
    if not sentences:
        raise SkillFailed("nothing-to-say", "the text holds no letters or digits; give text to speak")
    voices = known_voices(ctx.settings)
    spoken = cast(sentences, data, voices)
    rate, samples = await _synthesize(spoken, float(data.get("speed", 1.0)), ctx)
    if samples.count(0) == len(samples):
        raise SkillFailed("silence", "the engine made no sound of this text")
    used = list(dict.fromkeys(voice for _, voice in spoken))
    languages = {voices[voice] for voice in used}
    output = {
        "duration_s": len(samples) / SAMPLE_BYTES / rate,
        "sample_rate": rate,
        "voice": "+".join(used),
        "engine": ENGINE,
        "language": languages.pop() if len(languages) == 1 else "mixed",
        "characters": len(text),
    }
    # On a thread: minutes of speech are tens of megabytes to copy.
    sound = await asyncio.to_thread(wav, rate, samples)
    return SkillResult(output, (OutFile("speech.wav", "audio/wav", sound),))


async def _synthesize(spoken: list[tuple[str, str]], speed: float, ctx: SkillContext) -> tuple[int, bytearray]:
    """Return the sample rate and the samples of all sentences."""
    limit_s = float(ctx.settings.get("audio_seconds_max", AUDIO_SECONDS_MAX))
    samples = bytearray()
    async with running_engine(_timeout_s(ctx.settings)) as engine:
        for number, (sentence, voice) in enumerate(spoken, start=1):
            samples += await engine.say(sentence, voice, speed)
            if len(samples) > limit_s * engine.rate * SAMPLE_BYTES:
                raise SkillFailed("too-long", _too_long(limit_s, number, len(spoken)))
            await ctx.progress(number / len(spoken), f"sentence {number} of {len(spoken)}")
        return engine.rate, samples


def _too_long(limit_s: float, number: int, count: int) -> str:
    return (
        f"the speech is longer than {limit_s:g} s, reached in sentence {number} of {count}; "
        "cut the text into parts or raise the speed"
    )


def _timeout_s(settings: Mapping[str, JSON]) -> float:
    return float(settings.get("sentence_timeout_s", 20))


def wav(rate: int, samples: bytes | bytearray) -> bytes:
    """Return a WAV file of 16-bit mono samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(SAMPLE_BYTES)
        out.setframerate(rate)
        out.writeframes(samples)
    return buffer.getvalue()
