"""Which voices are here, and which of them speaks a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts import espeak, festival, flite, neural
from concilium.workers.tts.library import GET_ENGINE, find_library

ESPEAK_VOICES: Mapping[str, str] = {"en-us": "en", "ru": "ru"}
"""espeak-ng's voice → language, where ``agent.yaml`` has no list. A language's first voice is its default."""
ESPEAK_RATE = 22050
RECOGNISED = frozenset({"flite/slt", "festival/cmu_us_slt_arctic_hts"})
"""Voices whose words an offline recogniser understands in the project's own tests."""

Proof = Literal["recogniser", "phonemes", "none"]
"""How it is known that words can be understood: a recogniser wrote them down; only the phonemes, length and loudness
are checked; nothing is checked."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that can be asked for."""

    name: str
    engine: str
    languages: tuple[str, ...]
    sample_rate: int | None
    """Samples a second; None: the engine decides."""
    proof: Proof

    @property
    def own_name(self) -> str:
        """What the engine itself calls it."""
        return self.name.partition("/")[2] or self.name

    @property
    def latin_only(self) -> bool:
        """Whether it knows no Cyrillic letters."""
        return self.engine in (flite.NAME, festival.NAME) and "ru" not in self.languages


def known_voices(settings: Mapping[str, JSON], engine: EngineConfig | None) -> dict[str, Voice]:
    """Return every voice that can speak here, by name; the first of a language is its default."""
    found = [*_espeak_voices(settings), *_flite_voices(), *_festival_voices(), *_neural_voices(settings, engine)]
    return {voice.name: voice for voice in found}


def find_voice(name: str, voices: Mapping[str, Voice], engine: EngineConfig | None) -> Voice:
    """Return the voice of this name. A neural engine's voices need not be listed: the server knows them.

    Raises:
        SkillFailed: ``no-engine`` for a neural voice where no neural engine is configured, else ``unknown-voice``.
    """
    if name in voices:
        return voices[name]
    if name.startswith(f"{neural.NAME}/"):
        if engine is None:
            raise SkillFailed("no-engine", f"voice '{name}' needs a neural speech engine; {neural.GET}")
        return Voice(name, neural.NAME, ("en", "ru"), None, "none")
    raise SkillFailed("unknown-voice", f"no voice '{name}'; there are: {', '.join(voices) or 'none'}")


def default_voice(language: str, voices: Mapping[str, Voice]) -> Voice:
    """Return the first voice that speaks this language. Raises `SkillFailed`: ``no-engine``, ``unknown-voice``."""
    if not voices:
        raise SkillFailed("no-engine", f"no speech engine; get one with: {GET_ENGINE}")
    for voice in voices.values():
        if language in voice.languages:
            return voice
    raise SkillFailed("unknown-voice", f"no voice speaks {language}; there are: {', '.join(voices)}")


def check_language(voice: Voice, asked: str, voices: Mapping[str, Voice]) -> None:
    """Raise `SkillFailed` (``voice-language``) unless the voice speaks the language asked for (``auto``: any)."""
    if asked == "auto" or asked in voice.languages:
        return
    fitting = ", ".join(name for name, other in voices.items() if asked in other.languages) or "none"
    spoken = " and ".join(voice.languages)
    detail = f"voice '{voice.name}' speaks {spoken}, not {asked}; voices for {asked}: {fitting}"
    raise SkillFailed("voice-language", detail)


def _espeak_voices(settings: Mapping[str, JSON]) -> list[Voice]:
    if find_library() is None:
        return []
    listed: Mapping[str, str] = settings.get("voices") or ESPEAK_VOICES
    return [Voice(name, espeak.NAME, (code,), ESPEAK_RATE, "phonemes") for name, code in listed.items()]


def _flite_voices() -> list[Voice]:
    return [_recorded(flite.NAME, own, "en", flite.RATES.get(own, 16000)) for own in flite.voices()]


def _festival_voices() -> list[Voice]:
    found = festival.voices().items()
    return [_recorded(festival.NAME, own, code, festival.RATES.get(own, 16000)) for own, code in found]


def _recorded(engine: str, own: str, language: str, rate: int) -> Voice:
    name = f"{engine}/{own}"
    return Voice(name, engine, (language,), rate, "recogniser" if name in RECOGNISED else "none")


def _neural_voices(settings: Mapping[str, JSON], engine: EngineConfig | None) -> list[Voice]:
    listed: Mapping[str, list[str]] = settings.get("neural_voices") or {} if engine else {}
    return [Voice(f"{neural.NAME}/{own}", neural.NAME, tuple(codes), None, "none") for own, codes in listed.items()]
