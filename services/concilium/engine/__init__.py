"""Clients of model servers with an OpenAI-compatible API."""

from concilium.engine.client import EngineClient, EngineError, Message, VoiceId, image_part

__all__ = ["EngineClient", "EngineError", "Message", "VoiceId", "image_part"]
