"""The vision agent: ``skills`` and ``warm_up`` serve its runtime."""

from concilium.workers.vision.inspect import inspect
from concilium.workers.vision.ocr import ocr, warm_up

__all__ = ["skills", "warm_up"]

skills = {"vision.ocr": ocr, "vision.inspect": inspect}
