"""Which speech engine is here, for ``concilium doctor``."""

from concilium.workers.runtime.engines import EngineReport
from concilium.workers.tts.library import GET_ENGINE, find_library
from concilium.workers.tts.voices import ENGINE


def describe_engines() -> list[EngineReport]:
    """Return the speech engine; nothing is started."""
    parts = find_library()
    if parts is None:
        return [EngineReport(ENGINE, False, "is not installed", GET_ENGINE)]
    return [EngineReport(ENGINE, True, f"speaks English and Russian, from {parts.origin}", "")]
