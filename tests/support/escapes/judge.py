"""Carry an attempt out on a rung and judge what came of it."""

import json
import time
from dataclasses import dataclass, fields

from concilium.workers.code import host as agent
from concilium.workers.code.sandbox.job import Job, Limits, Outcome, SandboxError
from concilium.workers.code.sandbox.probe import RungReport

from .attempt import PRELUDE, Attempt
from .host import Host, host

_DEFAULTS = {"cpu_s": 10.0, "wall_s": 15.0}
_GRACE_S = 20.0
"""For starting and cleaning up on a busy machine with a slow disk; what is left running is looked for besides."""


@dataclass(frozen=True)
class Verdict:
    """What came of one attempt on one rung."""

    attempt: Attempt
    rung: str
    successes: tuple[str, ...]
    """How it succeeded; empty when it was held."""
    stated: bool
    """Whether the rung itself says that it does not bound this."""
    how: str
    """How the run ended, for the table."""

    @property
    def word(self) -> str:
        """``held``, ``stated`` or ``ESCAPED``."""
        return "held" if not self.successes else "stated" if self.stated else "ESCAPED"


async def judge(attempt: Attempt, report: RungReport) -> Verdict:
    """Carry the attempt out and look for every sign of success."""
    limits = Limits(**{**_DEFAULTS, **attempt.limits})
    with host() as reachable:
        source = attempt.script if attempt.shell else PRELUDE + attempt.script
        arguments = (json.dumps(reachable.facts()), reachable.marker)
        job = Job(
            "shell" if attempt.shell else "python", source.encode(), "attempt", arguments=arguments, limits=limits
        )
        began = time.monotonic()
        try:
            outcome = await agent.carry_out(report, job)
        except SandboxError as error:
            outcome, broken = None, f"the sandbox broke: {error}"
        took = time.monotonic() - began
        successes = reachable.reached()
        if outcome is None:
            ended = bool(attempt.ends_by) and any("ends without a result" in line for line in report.unbounded)
            successes += [] if ended else [broken]
        else:
            successes += _signs(attempt, outcome, limits, reachable)
        if took > limits.wall_s + _GRACE_S:
            successes.append(f"it took {took:.1f} s")
    stated = any(part in line for part in attempt.stated for line in report.unbounded)
    how = "broken" if outcome is None else outcome.limit or f"exit {outcome.exit_code}"
    return Verdict(attempt, report.name, tuple(successes), stated, how)


def _signs(attempt: Attempt, outcome: Outcome, limits: Limits, reachable: Host) -> list[str]:
    printed = outcome.stdout + outcome.stderr
    found = [line.decode("utf-8", "replace") for line in outcome.stdout.splitlines() if line.startswith(b"ESCAPED")]
    contents = [printed, *(file.content for file in outcome.files), *(file.name.encode() for file in outcome.files)]
    if any(reachable.secret.encode() in content for content in contents):
        found.append("the host's secret came back")
    if len(printed) > limits.output_bytes:
        found.append(f"{len(printed)} bytes of output")
    if len(outcome.files) > limits.files_max or sum(len(f.content) for f in outcome.files) > limits.files_bytes:
        found.append("more results than may come back")
    if any(".." in file.name.split("/") or file.name.startswith("/") or "\0" in file.name for file in outcome.files):
        found.append("a name that leaves the folder")
    if attempt.ends_by and outcome.limit not in attempt.ends_by and b"refused" not in outcome.stdout:
        found.append(f"not ended by {' or '.join(attempt.ends_by)}, but {outcome.limit or outcome.exit_code}")
    if attempt.family not in ("limits", "results") and b"Traceback" in outcome.stderr:
        found.append(f"the attempt itself is broken: {outcome.stderr[-300:]!r}")
    return found


assert {item.name for item in fields(Limits)} >= set(_DEFAULTS)
