"""Which speech engines are here, for ``concilium doctor`` and ``tts.voices``."""

from concilium.contracts.config import EngineConfig
from concilium.workers.runtime.engines import EngineReport
from concilium.workers.tts import espeak, festival, flite, neural
from concilium.workers.tts.library import GET_ENGINE, find_library


def describe_engines() -> list[EngineReport]:
    """Return the engines of this machine; flite is asked for its voices, nothing else is started."""
    return [_espeak(), _flite(), _festival()]


def neural_report(engine: EngineConfig | None) -> EngineReport:
    """Return whether a neural engine is configured; it is not asked whether it answers."""
    if engine is None:
        return EngineReport(neural.NAME, False, "is not configured", neural.GET)
    return EngineReport(neural.NAME, True, "is configured (speech_engine)", "")


def _espeak() -> EngineReport:
    parts = find_library()
    if parts is None:
        return EngineReport(espeak.NAME, False, "is not installed", GET_ENGINE)
    return EngineReport(espeak.NAME, True, f"speaks English and Russian, from {parts.origin}", "")


def _flite() -> EngineReport:
    voices = flite.voices()
    if not voices:
        return EngineReport(flite.NAME, False, "is not installed (optional)", flite.GET)
    return EngineReport(flite.NAME, True, f"speaks English: {', '.join(voices)}", "")


def _festival() -> EngineReport:
    voices = festival.voices()
    if not voices:
        return EngineReport(festival.NAME, False, "is not installed (optional)", festival.GET)
    return EngineReport(festival.NAME, True, f"speaks {', '.join(voices)}", "")
