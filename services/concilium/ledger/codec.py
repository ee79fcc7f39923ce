"""JSON columns: models by pydantic, plain values written by orjson."""

import json
from datetime import UTC, datetime

import orjson
from pydantic_core import from_json

from concilium.contracts.base import JSON


def dumps(value: JSON) -> str:
    """Return a JSON value as text; integers beyond 64 bits and lone surrogates too, which orjson refuses."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, separators=(",", ":"))


def loads(text: str) -> JSON:
    """Return the value of a text written by `dumps`; integers exactly, which orjson does not beyond 64 bits."""
    try:
        return from_json(text)
    except ValueError:  # a lone surrogate
        return json.loads(text)


def at(seconds: float) -> datetime:
    """Return a stored time as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)
