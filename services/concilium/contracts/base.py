"""The base of every contract model, ids and time."""

import os
import time
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

JSON = Any
"""A JSON value: None, bool, int, float, str, list or dict of the same."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


class Model(BaseModel):
    """An immutable contract model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


def new_id(prefix: str) -> str:
    """Return ``<prefix>_<ulid>``: 48 bits of milliseconds and 80 random bits, sortable by time.

    The encoding is Crockford base32 in lower case (ULID specification, canonical string form).
    """
    return _id(prefix, (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10)))


def first_id(prefix: str, moment: datetime) -> str:
    """Return the smallest id that `new_id` can make at a moment: no earlier one sorts after it."""
    return _id(prefix, round(moment.timestamp() * 1000) << 80)


def _id(prefix: str, value: int) -> str:
    return f"{prefix}_" + "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)
