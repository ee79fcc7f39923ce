"""Clients of model servers with an OpenAI-compatible API."""

from concilium.engine.audio import VoiceId
from concilium.engine.chat import Chat, Completion, TokenUse
from concilium.engine.client import EngineClient
from concilium.engine.errors import EngineError
from concilium.engine.messages import Message, Tool, ToolCall, image_part
from concilium.engine.stream import Delta
from concilium.engine.usage import Meter, metered

__all__ = [
    "Chat",
    "Completion",
    "Delta",
    "EngineClient",
    "EngineError",
    "Message",
    "Meter",
    "TokenUse",
    "Tool",
    "ToolCall",
    "VoiceId",
    "image_part",
    "metered",
]
