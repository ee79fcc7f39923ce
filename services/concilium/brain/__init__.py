"""The brain: a turn is a fold over its task's events, a plan is data."""

from concilium.brain.advance import Brain

__all__ = ["Brain"]
