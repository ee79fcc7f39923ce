"""The document agent: ``skills`` and ``warm_up`` are for its runtime, ``describe_engines`` for ``concilium doctor``."""

from concilium.workers.document.extract import extract, warm_up
from concilium.workers.document.merge import merge
from concilium.workers.document.report import describe_engines

__all__ = ["describe_engines", "skills", "warm_up"]

skills = {"document.extract": extract, "document.merge": merge}
