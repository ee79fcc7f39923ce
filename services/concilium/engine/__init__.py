"""Clients of model servers with an OpenAI-compatible API."""

from concilium.engine.client import EngineClient, EngineError

__all__ = ["EngineClient", "EngineError"]
