"""Which voice speaks which sentence."""

from collections.abc import Mapping

from concilium.contracts.base import JSON
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts.sentences import language_of

ENGINE = "espeak-ng"
VOICES: Mapping[str, str] = {"en-us": "en", "ru": "ru"}
"""Voice → language, where ``agent.yaml`` has no list. A language's first voice is its default."""


def known_voices(settings: Mapping[str, JSON]) -> Mapping[str, str]:
    """Return the voices of ``agent.yaml``'s settings."""
    return settings.get("voices") or VOICES


def cast(sentences: list[str], data: Mapping[str, JSON], voices: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (sentence, voice) pairs.

    A voice asked for speaks everything. Else each sentence is spoken in the language asked for, or in that of its
    letters; one without letters (a number) in the language before it, at the start in that of the whole text, and in
    English when the text has no letters at all.

    Raises:
        SkillFailed: ``unknown-voice``, or ``voice-language`` when the voice does not speak the language asked for.
    """
    voice, asked = data.get("voice"), str(data.get("language", "auto"))
    if voice is not None:
        _check(str(voice), asked, voices)
        return [(sentence, str(voice)) for sentence in sentences]
    language = language_of(" ".join(sentences))
    spoken = []
    for sentence in sentences:
        language = language_of(sentence, language) if asked == "auto" else asked
        spoken.append((sentence, _first(language, voices)))
    return spoken


def _check(voice: str, asked: str, voices: Mapping[str, str]) -> None:
    if voice not in voices:
        raise SkillFailed("unknown-voice", f"no voice '{voice}'; there are: {', '.join(voices)}")
    if asked not in ("auto", voices[voice]):
        fitting = ", ".join(name for name, language in voices.items() if language == asked) or "none"
        detail = f"voice '{voice}' speaks {voices[voice]}, not {asked}; voices for {asked}: {fitting}"
        raise SkillFailed("voice-language", detail)


def _first(language: str, voices: Mapping[str, str]) -> str:
    for name, spoken in voices.items():
        if spoken == language:
            return name
    raise SkillFailed("unknown-voice", f"no voice speaks {language}; there are: {', '.join(voices)}")
