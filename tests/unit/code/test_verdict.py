"""Which records of a test run are believed, and what is made of a run that ended early."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.workers.code.sandbox.job import Outcome
from concilium.workers.code.verdict import judge

KEY = b"k" * 32
PLAN = {"kind": "plan", "names": ["a", "b"], "more": 0}
A = {"kind": "case", "name": "a", "outcome": "passed", "message": "", "duration_s": 0.1}
B = {**A, "name": "b"}
END = {"kind": "end", "status": 0}


def sealed(*records: Any, key: bytes = KEY, first: int = 0) -> bytes:
    lines = []
    for number, record in enumerate(records, first):
        text = f"{number} {json.dumps(record)}".encode()
        lines.append(b"\n" + hmac.new(key, text, hashlib.sha256).hexdigest().encode() + b" " + text + b"\n")
    return b"".join(lines)


def ended(stdout: bytes, exit_code: int | None = 0, signal: int | None = None) -> Outcome:
    return Outcome(stdout, b"", False, exit_code, signal, None, 1.0)


def test_sealed_records_in_order_are_believed() -> None:
    verdict = judge(ended(sealed(PLAN, A, B, END)), KEY, "")
    assert (verdict.ok, verdict.complete, verdict.reason, verdict.ignored) == (True, True, "", 0)
    assert [case.name for case in verdict.cases] == ["a", "b"]


def test_another_key_is_not_believed() -> None:
    verdict = judge(ended(sealed(PLAN, A, B, END, key=b"x" * 32)), KEY, "")
    assert (verdict.ok, verdict.cases, verdict.ignored) == (False, [], 4)


def test_a_record_that_is_missing_ends_belief() -> None:
    stdout = sealed(PLAN, A) + sealed(END, first=3)
    verdict = judge(ended(stdout), KEY, "")
    assert (verdict.ok, verdict.complete) == (False, False)
    assert [(case.name, case.outcome) for case in verdict.cases] == [("a", "passed"), ("b", "error")]


def test_a_record_told_twice_counts_once() -> None:
    stdout = sealed(PLAN, A) + sealed(A, first=1) + sealed(B, END, first=2)
    verdict = judge(ended(stdout), KEY, "")
    assert (verdict.ok, len(verdict.cases), verdict.ignored) == (True, 2, 1)


def test_a_changed_record_is_not_believed() -> None:
    verdict = judge(ended(sealed(PLAN, {**A, "outcome": "failed"}, B, END).replace(b"failed", b"passed")), KEY, "")
    assert verdict.ok is False


def test_a_planned_test_without_outcome_is_an_error() -> None:
    verdict = judge(ended(sealed(PLAN, A, END)), KEY, "")
    assert (verdict.ok, verdict.complete) == (False, False)
    assert verdict.cases[1].outcome == "error"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ended(sealed(PLAN, A, B), 0), "ended before its tests did (exit status 0)"),
        (ended(sealed(PLAN, A, B), None, 11), "signal 11"),
        (ended(sealed(PLAN, A, B, END), 1), "ended with 1, not 0"),
        (ended(sealed(PLAN, A, B, {"kind": "end", "status": 3}), 3), "status 3"),
        (ended(sealed(PLAN, {"kind": "broken", "message": "x\nSystemExit: 0"}), 3), "pytest gave up: SystemExit: 0"),
        (ended(b"", 0), "ended before"),
    ],
)
def test_an_early_end_is_told(outcome: Outcome, reason: str) -> None:
    verdict = judge(outcome, KEY, "")
    assert (verdict.ok, verdict.complete) == (False, False)
    assert reason in verdict.reason


def test_a_limit_is_the_reason_whatever_the_records_say() -> None:
    verdict = judge(ended(sealed(PLAN, A, B, END)), KEY, "ran longer than 5 s")
    assert (verdict.complete, verdict.reason) == (False, "the tests ran longer than 5 s")


def test_more_tests_than_can_be_told_are_not_complete() -> None:
    verdict = judge(ended(sealed({**PLAN, "more": 3}, A, B, END)), KEY, "")
    assert (verdict.ok, verdict.complete) == (False, False)


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "case", "name": "a", "outcome": "great", "message": "", "duration_s": 0},
        {"kind": "case", "name": "a" * 3000, "outcome": "passed", "message": "", "duration_s": 0},
        {"kind": "case", "name": "a", "outcome": "passed", "message": "m" * 9000, "duration_s": 0},
        {"kind": "case", "name": "a", "outcome": "passed", "message": "", "duration_s": -1},
        {"kind": "unknown"},
        [],
        [[[[]]]] * 100,
    ],
)
def test_a_sealed_record_that_cannot_be_ends_belief(record: Any) -> None:
    verdict = judge(ended(sealed(record) + sealed(PLAN, A, B, END, first=1)), KEY, "")
    assert (verdict.ok, verdict.cases) == (False, [])


@given(st.binary(max_size=500))
def test_any_output_gives_a_verdict(noise: bytes) -> None:
    assert judge(ended(noise), KEY, "").ok is False
    assert judge(ended(noise + b"\n" + sealed(PLAN, A, B, END)), KEY, "").ok is True
