"""W3C Trace Context: one trace id from the caller to every step."""

import os
import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace a request belongs to."""

    trace_id: str
    """32 hex digits."""
    traceparent: str
    """What is handed on: the caller's trace with a span of ours."""


def begin(header: str | None) -> Trace:
    """Return the trace of a request: the caller's when its ``traceparent`` is valid, else a new one.

    Invalid headers are replaced, as the recommendation says (W3C Trace Context, section 3.2.2).
    """
    found = _TRACEPARENT.fullmatch(header or "")
    trace_id, flags = os.urandom(16).hex(), "01"
    if found and found[1] != "ff" and found[2] != "0" * 32 and found[3] != "0" * 16:
        trace_id, flags = found[2], found[4] if found[1] == "00" else "00"
    return Trace(trace_id, f"00-{trace_id}-{os.urandom(8).hex()}-{flags}")
