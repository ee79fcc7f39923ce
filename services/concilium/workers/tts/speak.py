"""``tts.speak``: text to a WAV file, sentence by sentence, in one child process a run."""

import asyncio
import io
import json
import sys
import wave
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillResult
from concilium.workers.tts.sentences import clean, language_of, split

ENGINE = "espeak-ng"
VOICES = {"en": "en-us", "ru": "ru"}
CHILD = Path(__file__).with_name("child.py")


def library() -> tuple[Path, Path] | None:
    """Return the wheel's library and data folder, found without importing (and so loading) anything."""
    spec = find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    found = sorted(folder.glob("*espeak-ng*.so*")) + sorted(folder.glob("*espeak-ng*.dylib"))
    return (found[0], folder / "espeak-ng-data") if found else None


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Speak one word, so that a missing engine shows at start."""
    await _synthesize([("ready", VOICES["en"])], 1.0, float(settings.get("sentence_timeout_s", 20)), None)


async def speak(ctx: SkillContext, data: JSON) -> SkillResult:
    """Speak the text; fails with a clear type such as ``nothing-to-say`` or ``speech-timeout``."""
    text = clean(data["text"])
    sentences = split(text)
    if not sentences:
        raise SkillFailed("nothing-to-say", "the text holds no letters or digits; give text to speak")
    asked = data.get("language", "auto")
    languages: list[str] = []
    for sentence in sentences:
        before = languages[-1] if languages else language_of(text)
        languages.append(language_of(sentence, before) if asked == "auto" else asked)
    voices = [data.get("voice") or VOICES[language] for language in languages]
    timeout_s = float(ctx.settings.get("sentence_timeout_s", 20))
    spoken = list(zip(sentences, voices, strict=True))
    rate, samples = await _synthesize(spoken, float(data.get("speed", 1.0)), timeout_s, ctx)
    if not any(samples):
        raise SkillFailed("silence", "the engine made no sound of this text")
    output = {
        "duration_s": len(samples) / 2 / rate,
        "sample_rate": rate,
        "voice": "+".join(dict.fromkeys(voices)),
        "engine": ENGINE,
        "language": languages[0] if len(set(languages)) == 1 else "mixed",
        "characters": len(text),
    }
    return SkillResult(output, (OutFile("speech.wav", "audio/wav", _wav(rate, samples)),))


async def _synthesize(
    spoken: list[tuple[str, str]], speed: float, timeout_s: float, ctx: SkillContext | None
) -> tuple[int, bytes]:
    """Return the sample rate and the samples of all sentences; the child never outlives the call."""
    parts = library()
    if parts is None:
        raise SkillFailed("no-engine", "no speech engine; install it with: pip install espeakng-loader")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(CHILD), *map(str, parts), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(timeout_s):
            rate = await _number(child)
        samples = bytearray()
        for done, (text, voice) in enumerate(spoken, start=1):
            async with asyncio.timeout(timeout_s):
                samples += await _sentence(child, text, voice, speed)
            if ctx is not None:
                await ctx.progress(done / len(spoken), f"sentence {done} of {len(spoken)}")
        return rate, bytes(samples)
    except TimeoutError as error:
        raise SkillFailed("speech-timeout", f"a sentence took more than {timeout_s:g} s", retryable=True) from error
    except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError) as error:
        detail = "the engine stopped: it lacks the voice or could not speak the text"
        raise SkillFailed("speech-failed", detail) from error
    finally:
        await _end(child)


async def _sentence(child: Process, text: str, voice: str, speed: float) -> bytes:
    if child.stdin is None or child.stdout is None:
        raise BrokenPipeError
    request = {"text": text, "voice": voice, "speed": speed}
    child.stdin.write(json.dumps(request).encode() + b"\n")
    await child.stdin.drain()
    return await child.stdout.readexactly(await _number(child))


async def _number(child: Process) -> int:
    if child.stdout is None:
        raise BrokenPipeError
    return int.from_bytes(await child.stdout.readexactly(4), "little")


async def _end(child: Process) -> None:
    if child.returncode is None:
        child.kill()
    await child.wait()


def _wav(rate: int, samples: bytes) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples)
    return buffer.getvalue()
