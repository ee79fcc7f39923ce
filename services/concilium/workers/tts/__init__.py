"""The tts agent: ``skills`` and ``warm_up`` serve its runtime; ``describe_engines`` serves ``concilium doctor``."""

from concilium.workers.tts.list_voices import list_voices
from concilium.workers.tts.report import describe_engines
from concilium.workers.tts.speak import speak, warm_up

__all__ = ["describe_engines", "skills", "warm_up"]

skills = {"tts.speak": speak, "tts.voices": list_voices}
