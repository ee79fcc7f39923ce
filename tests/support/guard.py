"""The paradigm guard's benchmark as a module, and decisions to put warnings to."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from concilium.adapters.guard import Decision, Paradigm, View

_ROOT = Path(__file__).resolve().parents[2]


@cache
def benchmark() -> Any:
    """Return ``benchmarks/guard.py``."""
    spec = importlib.util.spec_from_file_location("guard_benchmark", _ROOT / "benchmarks" / "guard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def paradigm(name: str = "pendulum") -> Paradigm:
    """Return one of the invented world-views."""
    found: Paradigm = benchmark().paradigms()[name]
    return found


def decided(view: View, language: str = "en") -> Decision:
    """Return a decision for a view."""
    assert language in {"en", "ru"}
    return Decision(view, ("by-name",), (), "ru" if language == "ru" else "en", paradigm())
