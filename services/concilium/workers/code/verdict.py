"""From what a test run wrote to a verdict: sealed records are believed, anything else is not."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from concilium.contracts.base import Model
from concilium.workers.code.sandbox.job import Outcome

_LINE = re.compile(rb"([0-9a-f]{64}) (([0-9]{1,6}) (.*))")
_NAME = Field(max_length=2000)
_MESSAGE = Field(max_length=8000)
_ENDED = {0, 1, 5}
"""pytest's exit status when all passed, some failed, none were found."""

CaseOutcome = Literal["passed", "failed", "error", "skipped"]


class Plan(Model):
    kind: Literal["plan"]
    names: tuple[Annotated[str, _NAME], ...]
    more: int


class Start(Model):
    kind: Literal["start"]
    name: Annotated[str, _NAME]


class Case(Model):
    """One test, or one file that could not be read."""

    kind: Literal["case"] = "case"
    name: Annotated[str, _NAME]
    outcome: CaseOutcome
    message: Annotated[str, _MESSAGE] = ""
    duration_s: float = Field(default=0.0, ge=0)


class Broken(Model):
    kind: Literal["broken"]
    message: Annotated[str, _MESSAGE]


class End(Model):
    kind: Literal["end"]
    status: int


Record = Plan | Start | Case | Broken | End
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


@dataclass
class Verdict:
    """What came of a run of tests."""

    cases: list[Case] = field(default_factory=list)
    complete: bool = False
    """The run came to its own end, and every test it planned has an outcome."""
    reason: str = ""
    """Why it is not complete."""
    ignored: int = 0
    """Lines that were no record, or not in their place."""

    def count(self, outcome: CaseOutcome) -> int:
        """Return how many cases ended so."""
        return sum(case.outcome == outcome for case in self.cases)

    @property
    def ok(self) -> bool:
        """Every test ran, at least one passed and none failed."""
        bad = self.count("failed") + self.count("error")
        return self.complete and not bad and self.count("passed") > 0


def judge(outcome: Outcome, key: bytes, limit: str) -> Verdict:
    """Return the verdict on a run of the tester.

    Args:
        outcome: what the sandbox says.
        key: what the records are sealed with.
        limit: what the run did that a limit ended, as in ``ran longer than 60 s``; empty: none did.
    """
    records, ignored = _records(outcome.stdout, key)
    verdict = Verdict([r for r in records if isinstance(r, Case)], ignored=ignored)
    verdict.reason = f"the tests {limit}" if limit else _why_early(records, outcome)
    _add_unfinished(verdict, records)
    verdict.complete = not verdict.reason
    return verdict


def _records(stdout: bytes, key: bytes) -> tuple[list[Record], int]:
    """Return the records in order, up to the first that is missing, and the number of other lines."""
    found: list[Record] = []
    lines = [line for line in stdout.split(b"\n") if line]
    for line in lines:
        match = _LINE.fullmatch(line)
        if match and int(match[3]) == len(found) and _sealed(match[1], match[2], key):
            try:
                found.append(_RECORD.validate_json(match[4]))
            except ValidationError:
                break
    return found, len(lines) - len(found)


def _sealed(seal: bytes, text: bytes, key: bytes) -> bool:
    return hmac.compare_digest(hmac.new(key, text, hashlib.sha256).hexdigest().encode(), seal)


def _why_early(records: list[Record], outcome: Outcome) -> str:
    """Return why a run that no limit ended did not come to its own end; empty when it did."""
    broken = next((record for record in records if isinstance(record, Broken)), None)
    if broken:
        return f"pytest gave up: {broken.message.splitlines()[-1] if broken.message else 'no message'}"
    last = records[-1] if records else None
    if not isinstance(last, End):
        how = f"signal {outcome.signal}" if outcome.signal else f"exit status {outcome.exit_code}"
        return f"the process ended before its tests did ({how})"
    if last.status not in _ENDED:
        return f"pytest ended with status {last.status}"
    return "" if outcome.exit_code == last.status else f"the process ended with {outcome.exit_code}, not {last.status}"


def _add_unfinished(verdict: Verdict, records: list[Record]) -> None:
    """Give every planned test without an outcome an error."""
    plan = next((record for record in records if isinstance(record, Plan)), None)
    started = {record.name for record in records if isinstance(record, Start)}
    ended = {case.name for case in verdict.cases}
    for name in dict.fromkeys(plan.names) if plan else ():
        if name not in ended:
            verdict.reason = verdict.reason or "a test has no outcome"
            what = "did not come to its end" if name in started else "was not run"
            verdict.cases.append(Case(name=name, outcome="error", message=f"{what}: {verdict.reason}"))
    if plan and plan.more:
        verdict.reason = verdict.reason or f"there are {plan.more} more tests than can be told"
