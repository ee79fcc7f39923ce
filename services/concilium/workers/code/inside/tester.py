"""Runs pytest and tells what came of each test while it goes on.

Standard input: one line with a key in hex, then ``{"tests": [name, …], "test_s": seconds}``.

Standard output carries the records alone, one a line: number, HMAC-SHA256 of number and text with the key, text (JSON).
What the code under test prints, exits with, leaves in files or sets up as configuration is therefore no result. Code
that looks for this module's objects inside its own process is another matter: it shares the process with its tests.
"""

import hashlib
import hmac
import json
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

_PACKAGES = str(Path(pytest.__file__).parents[1])
_PLANNED_MAX = 1000
_LONG_CHARS = 1500
_SHORT_CHARS = 200
_LONG_TOTAL = 200_000
_OPTIONS = (
    "-q",
    "--tb=no",
    "--color=no",
    "-rN",
    "--disable-warnings",
    "--strict-markers",
    "--continue-on-collection-errors",
    "--import-mode=importlib",
    "-c/dev/null",
    "-pno:cacheprovider",
)

Send = Callable[[dict[str, Any]], None]


def main() -> None:
    """Run the tests that standard input names."""
    key = bytes.fromhex(sys.stdin.readline())
    job = json.loads(sys.stdin.read())
    send = _sender(key, os.dup(1))
    del key
    os.dup2(2, 1)  # what is printed is read by people
    here = Path.cwd()
    arguments = [*_OPTIONS, f"--rootdir={here}", f"--confcutdir={here}", "--", *job["tests"]]
    status = pytest.main(arguments, plugins=[Recorder(send, job["test_s"])])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads and exit handlers of the code under test have no say


def _sender(key: bytes, channel: int) -> Send:
    """Return what writes one record. A process forked by a test writes none."""
    base = hmac.new(key, digestmod=hashlib.sha256)
    number, owner = 0, os.getpid()

    def send(record: dict[str, Any]) -> None:
        nonlocal number
        if os.getpid() != owner:
            return
        text = f"{number} {json.dumps(record)}"
        seal = base.copy()
        seal.update(text.encode())
        line = f"\n{seal.hexdigest()} {text}\n".encode()
        while line:
            line = line[os.write(channel, line) :]
        number += 1

    return send


class Recorder:
    """A pytest plugin that sends a record for the plan, each start, each case and the end."""

    def __init__(self, send: Send, test_s: float) -> None:
        self._send = send
        self._test_s = test_s
        self._left = _LONG_TOTAL
        self._case: dict[str, Any] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Let the code be imported; only now, so that it cannot stand in for a part of pytest."""
        sys.path.insert(0, str(Path.cwd()))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of a file that could not be read, or that skips itself."""
        if report.outcome != "passed":
            outcome = "skipped" if report.skipped else "error"
            name, message = report.nodeid or "collection", self._message(report)
            self._send({"kind": "case", "name": name, "outcome": outcome, "duration_s": 0, "message": message})

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell which tests there are."""
        names = [item.nodeid[:_LONG_CHARS] for item in session.items]
        self._send({"kind": "plan", "names": names[:_PLANNED_MAX], "more": max(0, len(names) - _PLANNED_MAX)})

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Bound one test in time; code that catches everything is bound by the run's own limit."""
        self._case = {"kind": "case", "name": item.nodeid[:_LONG_CHARS], "outcome": "", "duration_s": 0, "message": ""}
        self._send({"kind": "start", "name": self._case["name"]})
        signal.signal(signal.SIGALRM, self._too_long)
        signal.setitimer(signal.ITIMER_REAL, self._test_s, self._test_s)  # again, should it be caught
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _too_long(self, _number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"the test ran longer than {self._test_s:g} s")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather set-up, call and tear-down of a test; tell at its end."""
        case = self._case
        case["duration_s"] += report.duration
        outcome = _outcome(report)
        if _WORSE.index(outcome) > _WORSE.index(case["outcome"]):
            case["outcome"] = outcome
            case["message"] = "" if outcome == "passed" else self._message(report)
        if report.when == "teardown":
            self._send(case)

    def pytest_internalerror(self, excrepr: object) -> None:
        """Tell that pytest itself gave up, as it does when code under test exits while it is imported."""
        self._send({"kind": "broken", "message": _clean(str(excrepr))[-_LONG_CHARS:]})

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Tell that the run came to its end."""
        self._send({"kind": "end", "status": int(exitstatus)})

    def _message(self, report: pytest.TestReport | pytest.CollectReport) -> str:
        room = _LONG_CHARS if self._left > 0 else _SHORT_CHARS
        said = report.longrepr
        text = (
            str(said[2]) if isinstance(said, tuple) else _own_frames(str(said or ""))
        )  # a skip has path, line, reason
        text = text if len(text) <= room else f"{text[: room // 3]}\n…\n{text[-2 * room // 3 :]}"
        printed = report.capstdout[-_SHORT_CHARS:] if room == _LONG_CHARS else ""
        text = _clean(f"{text}\nprinted: {printed}" if printed else text)
        self._left -= len(text)
        return text


_WORSE = ("", "passed", "skipped", "failed", "error")


def _outcome(report: pytest.TestReport) -> str:
    """Return what one phase says; an expected failure counts as skipped."""
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.skipped:
        return "skipped"
    return "passed" if report.when == "call" else ""


def _own_frames(text: str) -> str:
    """Return a traceback without the frames inside pytest and other packages."""
    kept, inside = [], False
    for line in text.splitlines():
        inside = line.startswith(_PACKAGES) or (inside and line.startswith(" "))
        if not inside:
            kept.append(line)
    return "\n".join(kept)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


if __name__ == "__main__":
    main()
