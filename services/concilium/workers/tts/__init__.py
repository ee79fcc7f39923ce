"""The tts agent: speaks text. ``skills`` and ``warm_up`` serve the runtime, ``describe_engines`` serves ``concilium doctor``."""

from concilium.workers.tts.report import EngineReport, describe_engines
from concilium.workers.tts.speak import speak, warm_up

__all__ = ["EngineReport", "describe_engines", "skills", "warm_up"]

skills = {"tts.speak": speak}
