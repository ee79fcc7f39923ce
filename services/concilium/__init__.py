"""Concilium: a self-hosted council of AI agents."""

__version__ = "0.1.0"
