"""W3C Trace Context: one trace id from the caller to every step, and n8n's id of the execution that asks."""

import os
import re
from dataclasses import dataclass, replace

from starlette.datastructures import Headers

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_EXECUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
EXECUTION_HEADER = "x-n8n-execution-id"


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace a request belongs to."""

    trace_id: str
    """32 hex digits."""
    traceparent: str
    """What is handed on: the caller's trace with a span of ours."""
    caller: str = ""
    """The caller's own ``traceparent``; empty when it sent none that is valid."""
    execution_id: str | None = None
    """n8n's id of the execution that asks."""

    def within(self, traceparent: str) -> "Trace":
        """Return the trace of the span that is really recorded; an empty text: none is."""
        return replace(self, trace_id=traceparent[3:35], traceparent=traceparent) if traceparent else self


def begin(headers: Headers) -> Trace:
    """Return the trace of a request: the caller's when its ``traceparent`` is valid, else a new one.

    Invalid headers are replaced, as the recommendation says (W3C Trace Context, section 3.2.2).
    """
    said, execution = headers.get("traceparent", ""), headers.get(EXECUTION_HEADER, "")
    found = _TRACEPARENT.fullmatch(said)
    trace_id, flags, caller = os.urandom(16).hex(), "01", ""
    if found and found[1] != "ff" and found[2] != "0" * 32 and found[3] != "0" * 16:
        trace_id, flags, caller = found[2], found[4] if found[1] == "00" else "00", said
    return Trace(
        trace_id,
        f"00-{trace_id}-{os.urandom(8).hex()}-{flags}",
        caller,
        execution if _EXECUTION.fullmatch(execution) else None,
    )
