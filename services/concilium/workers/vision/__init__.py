"""The vision agent: ``skills`` and ``warm_up`` serve its runtime; ``describe_engines`` serves ``concilium doctor``."""

from concilium.workers.vision.inspect import inspect
from concilium.workers.vision.ocr import ocr, warm_up
from concilium.workers.vision.report import describe_engines

__all__ = ["describe_engines", "skills", "warm_up"]

skills = {"vision.ocr": ocr, "vision.inspect": inspect}
