"""What every skill of this agent tells of a run: what it used, what ended it, what it printed."""

from collections.abc import Mapping

from concilium.contracts.base import JSON
from concilium.workers.code.sandbox.job import Limits, Outcome

TAIL_CHARS = 600
_LIMIT_TEXT = {
    "cpu-time": "used more than {limits.cpu_s:g} s of CPU time",
    "wall-time": "ran longer than {limits.wall_s:g} s",
    "memory": "held more than {limits.memory_bytes} bytes of memory",
    "disk": "stored more than {limits.disk_bytes} bytes, or too many files",
    "output": "printed more than {limits.output_bytes} bytes",
    "processes": "had more than {limits.processes} processes and threads at once",
}


def resources(outcome: Outcome) -> dict[str, JSON]:
    """Return what the run used: seconds, bytes, processes."""
    return {
        "cpu_s": round(outcome.cpu_s, 6),
        "memory_peak_bytes": outcome.memory_peak,
        "disk_bytes": outcome.disk,
        "processes_peak": outcome.processes_peak,
    }


def text(content: bytes) -> str:
    """Return what was printed as text that every database can store: neither invalid UTF-8 nor zero characters."""
    return content.decode("utf-8", "replace").replace("\0", "\ufffd")


def limit_text(outcome: Outcome, limits: Limits) -> str:
    """Return what a run did that a limit ended, as in ``ran longer than 60 s``."""
    return _LIMIT_TEXT[outcome.limit or ""].format(limits=limits)


def limit_detail(what: str, outcome: Outcome, limits: Limits, record: Mapping[str, JSON]) -> str:
    """Return the sentences of a failure by a limit: what was used, in which sandbox, and the last words of what ran."""
    loose = ", ".join(record["unbounded"]) or "nothing"
    parts = [
        f"{what} {limit_text(outcome, limits)}, and was ended after {outcome.duration_s:.1f} s.",
        f"It used {outcome.cpu_s:.1f} s of CPU time and {outcome.memory_peak} bytes of memory.",
        f"It ran in the sandbox {record['rung']}, which does not bound: {loose}.",
    ]
    for name, content in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        if content:
            parts.append(f"{name} ended with: {text(content[-4 * TAIL_CHARS :])[-TAIL_CHARS:]}")
    return "\n".join(parts)
