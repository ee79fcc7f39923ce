"""The tts agent: ``skills``, ``warm_up`` for its runtime; ``describe_engines`` for ``concilium doctor``."""

from concilium.workers.tts.report import EngineReport, describe_engines
from concilium.workers.tts.speak import speak, warm_up

__all__ = ["EngineReport", "describe_engines", "skills", "warm_up"]

skills = {"tts.speak": speak}
