"""The script of a speech: which words which voice says, and how."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from concilium.contracts.base import JSON
from concilium.contracts.config import EngineConfig
from concilium.workers.runtime.skill import SkillFailed
from concilium.workers.tts import ssml
from concilium.workers.tts.sentences import chunks, clean, language_of, sayable, split
from concilium.workers.tts.sound import NATURAL, Manner
from concilium.workers.tts.ssml import Pause, Piece, Speech, looks_like_ssml, read_ssml
from concilium.workers.tts.voices import Voice, check_language, default_voice, find_voice
from concilium.workers.tts.words import spell_out


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, in words, with the voice that says it."""

    words: str
    language: str
    voice: Voice
    manner: Manner
    volume_db: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for beside the text."""

    language: str = "auto"
    voice: str | None = None
    manner: Manner = NATURAL

    @classmethod
    def of(cls, data: Mapping[str, JSON]) -> "Request":
        """Return what a skill's input asks for."""
        manner = Manner(float(data.get("speed", 1.0)), float(data.get("pitch", 1.0)))
        return cls(str(data.get("language", "auto")), data.get("voice"), manner)


class Casting:
    """Gives each sentence its language and its voice.

    A voice asked for speaks everything. Else each sentence is spoken in the language asked for, or in that of its
    letters; one without letters (a number) in the language before it, at the start in that of the whole text, and in
    English when the text has no letters at all.
    """

    def __init__(self, request: Request, voices: Mapping[str, Voice], engine: EngineConfig | None) -> None:
        self._request = request
        self._voices = voices
        self._engine = engine
        self._asked = self._named(request.voice, request.language) if request.voice else None

    def lines(self, pieces: Sequence[Piece]) -> list[Line | Pause]:
        """Return the whole script. Raises `SkillFailed`: ``unknown-voice``, ``voice-language``, ``no-engine``."""
        language = language_of(" ".join(piece.text for piece in pieces if isinstance(piece, Speech)))
        script: list[Line | Pause] = []
        for piece in pieces:
            if isinstance(piece, Pause):
                script.append(piece)
                continue
            for sentence in split(piece.text):
                language = self._language(sentence, piece.style, language)
                script += self._spoken(sentence, language, piece.style)
        return script

    def _language(self, sentence: str, style: ssml.Style, before: str) -> str:
        if style.language:
            return style.language
        asked = self._request.language
        return language_of(sentence, before) if asked == "auto" else asked

    def _spoken(self, sentence: str, language: str, style: ssml.Style) -> Iterable[Line]:
        voice = self._voice(language, style)
        if voice.latin_only and language == "ru":
            detail = f"voice '{voice.name}' speaks English, but a sentence of the text is Russian"
            raise SkillFailed("voice-language", f"{detail}; leave the voice out, or name one that speaks Russian")
        spoken = language if language in voice.languages else voice.languages[0]
        manner = Manner(
            _within(self._request.manner.speed * style.speed, ssml.SPEED_RANGE),
            _within(self._request.manner.pitch * style.pitch, ssml.PITCH_RANGE),
        )
        words = chunks(spell_out(sentence, spoken))
        return [Line(part, spoken, voice, manner, style.volume_db) for part in words if sayable(part)]

    def _voice(self, language: str, style: ssml.Style) -> Voice:
        if style.voice:
            return self._named(style.voice, style.language or "auto")
        if self._asked is not None and (style.language is None or style.language in self._asked.languages):
            return self._asked
        return default_voice(language, self._voices)

    def _named(self, name: str, language: str) -> Voice:
        voice = find_voice(name, self._voices, self._engine)
        check_language(voice, language, self._voices)
        return voice


def pieces_of(text: str, markup: str) -> list[Piece]:
    """Return the pieces of a text; ``markup`` is ``auto``, ``text`` or ``ssml``. Raises as `read_ssml`."""
    if markup == "ssml" or (markup == "auto" and looks_like_ssml(text)):
        return [Speech(clean(p.text), p.style) if isinstance(p, Speech) else p for p in read_ssml(text)]
    return [Speech(clean(text))]


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])
