"""The speech skill, as in the unit tests."""

from unit.tts.conftest import say

__all__ = ["say"]
