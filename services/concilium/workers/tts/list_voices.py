"""``tts.voices``: which voices can speak here, and what is known of how well they are understood."""

import asyncio

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillContext, SkillResult
from concilium.workers.tts.report import describe_engines, neural_report
from concilium.workers.tts.voices import Voice, default_voice, known_voices

_NOTES = {
    "recogniser": "an offline recogniser understands it: at most one word in ten is wrong on the project's sentences",
    "phonemes": "unproved by ear: its phonemes, length and loudness are checked, no recogniser understands it",
    "none": "unproved: nothing but sound was checked",
}
_RUSSIAN = "; there is no Russian recogniser"


async def list_voices(ctx: SkillContext, data: JSON) -> SkillResult:
    """List the voices, those of one language or engine when asked so, and the engines they come from."""
    voices = await asyncio.to_thread(known_voices, ctx.settings, ctx.engine)
    defaults = {language: _default(language, voices) for language in ("en", "ru")}
    shown = [
        _told(voice, defaults)
        for voice in voices.values()
        if data.get("language", voice.languages[0]) in voice.languages
        and data.get("engine", voice.engine) == voice.engine
    ]
    reports = [*describe_engines(), neural_report(ctx.engine)]
    engines = [
        {"name": report.name, "available": report.available, "found": report.found, "advice": report.advice}
        for report in reports
    ]
    return SkillResult({"voices": shown, "engines": engines, "text": _lines(shown)})


def _default(language: str, voices: dict[str, Voice]) -> str:
    speaks = any(language in voice.languages for voice in voices.values())
    return default_voice(language, voices).name if speaks else ""


def _told(voice: Voice, defaults: dict[str, str]) -> dict[str, JSON]:
    return {
        "name": voice.name,
        "engine": voice.engine,
        "languages": list(voice.languages),
        "sample_rate": voice.sample_rate,
        "default_for": [language for language, name in defaults.items() if name == voice.name],
        "proof": voice.proof,
        "note": _NOTES[voice.proof] + (_RUSSIAN if "ru" in voice.languages else ""),
    }


def _lines(shown: list[dict[str, JSON]]) -> str:
    """Return the list as text, a voice a line."""
    if not shown:
        return "no such voice here"
    return "\n".join(f"{v['name']} ({v['engine']}, {', '.join(v['languages'])}): {v['note']}" for v in shown)
