"""Clients of model servers with an OpenAI-compatible API."""

from concilium.engine.client import EngineClient, EngineError, Message, VoiceId, image_part
from concilium.engine.usage import Meter, metered

__all__ = ["EngineClient", "EngineError", "Message", "Meter", "VoiceId", "image_part", "metered"]
