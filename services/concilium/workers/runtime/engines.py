"""What an agent says of the engines behind its skills, for ``concilium doctor``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineReport:
    """One engine: whether it can be used, what was found, and how to get what is missing."""

    name: str
    available: bool
    found: str
    advice: str = ""
