"""What speech engines are here, for ``concilium doctor``."""

from dataclasses import dataclass

from concilium.workers.tts.speak import ENGINE, VOICES, library


@dataclass(frozen=True, slots=True)
class EngineReport:
    """One engine: whether it is here, the languages it serves, and the command that brings what is missing."""

    name: str
    available: bool
    languages: tuple[str, ...]
    get: str


def describe_engines() -> list[EngineReport]:
    """Return the speech engines; nothing is started."""
    here = library() is not None
    return [EngineReport(ENGINE, here, tuple(VOICES) if here else (), "" if here else "pip install espeakng-loader")]
