"""What an agent's room says of the engines it found, for ``concilium doctor``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineReport:
    """One engine: whether it can be used, what was found of it, and how to get what is missing (else empty)."""

    name: str
    available: bool
    found: str
    advice: str
