"""``tts.speak``: text, plain or SSML, to an audio file, sentence by sentence."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillResult
from concilium.workers.tts.profile import profile_voice
from concilium.workers.tts.recorder import FORMATS, Recorder
from concilium.workers.tts.script import Casting, Line, Request, pieces_of
from concilium.workers.tts.sentences import sayable
from concilium.workers.tts.sound import Manner, silence
from concilium.workers.tts.speakers import Speakers
from concilium.workers.tts.ssml import Pause
from concilium.workers.tts.voices import ESPEAK_RATE, default_voice, known_voices

WAV_SECONDS_MAX = 720.0
"""At 22,050 samples a second just below the size of a result's files."""
SMALL_SECONDS_MAX = 5400.0
"""Of mp3 and ogg."""


async def warm_up(settings: Mapping[str, JSON]) -> None:
    """Speak one word, so that a missing engine shows at start."""
    voice = default_voice("en", known_voices(settings, None))
    with TemporaryDirectory() as folder:
        async with Speakers(SkillContext("warm-up", {}, settings, Path(folder))) as speakers:
            await speakers.say(Line("ready", "en", voice, Manner()))


async def speak(ctx: SkillContext, data: JSON) -> SkillResult:
    """Speak the text into ``speech.wav``, ``.mp3`` or ``.ogg``.

    Raises:
        SkillFailed: ``nothing-to-say``, ``too-long``, ``silence``, ``consent-required``, or as `read_ssml`,
            `Casting.lines`, `profile_voice` and the engines.
    """
    request = Request.of(data)
    if "voice_profile" in data:
        request = Request(request.language, await profile_voice(ctx, data["voice_profile"]), request.manner)
    # On a thread: a hundred thousand characters take seconds.
    script = await asyncio.to_thread(_script, ctx, request, data["text"], str(data.get("markup", "auto")))
    lines = [line for line in script if isinstance(line, Line)]
    if not lines or not any(sayable(line.words) for line in lines):
        raise SkillFailed("nothing-to-say", "the text holds no letters or digits; give text to speak")
    form = FORMATS[str(data.get("format", "wav"))]
    name = f"speech.{form.name}"
    with Recorder(ctx.workdir / name, form, _limit_s(ctx.settings, form.name)) as recorder:
        await _record(ctx, script, recorder)
        if not recorder.heard:
            raise SkillFailed("silence", "the engine made no sound of this text")
        file = OutFile(name, form.media_type, recorder.content())
        output = {
            "duration_s": recorder.seconds,
            "sample_rate": recorder.rate,
            "format": form.name,
            "file": file_ref(file.name, file.media_type, file.data).model_dump(mode="json"),
            **_told(lines),
            "characters": len(data["text"].strip()),
        }
    return SkillResult(output, (file,))


def _script(ctx: SkillContext, request: Request, text: str, markup: str) -> list[Line | Pause]:
    """Return who says what; may start flite to ask for its voices."""
    voices = known_voices(ctx.settings, ctx.engine)
    return Casting(request, voices, ctx.engine).lines(pieces_of(text, markup))


async def _record(ctx: SkillContext, script: Sequence[Line | Pause], recorder: Recorder) -> None:
    """Speak line after line into the recorder, telling how far it is."""
    count = sum(isinstance(line, Line) for line in script)
    number = 0
    async with Speakers(ctx) as speakers:
        for line in script:
            if isinstance(line, Pause):
                await recorder.write(silence(line.seconds, recorder.rate or ESPEAK_RATE), "a pause")
                continue
            number += 1
            await recorder.write(await speakers.say(line), f"sentence {number} of {count}")
            await ctx.progress(number / count, f"sentence {number} of {count}")


def _told(lines: Sequence[Line]) -> dict[str, JSON]:
    """Return what the output says of who spoke: voices, engines and languages in the order they came."""
    voices = list(dict.fromkeys(line.voice.name for line in lines))
    engines = list(dict.fromkeys(line.voice.engine for line in lines))
    languages = {line.language for line in lines}
    return {
        "voice": "+".join(voices),
        "engine": "+".join(engines),
        "language": languages.pop() if len(languages) == 1 else "mixed",
        "sentences": len(lines),
    }


def _limit_s(settings: Mapping[str, JSON], form: str) -> float:
    if form == "wav":
        return float(settings.get("audio_seconds_max", WAV_SECONDS_MAX))
    return float(settings.get("small_audio_seconds_max", SMALL_SECONDS_MAX))
