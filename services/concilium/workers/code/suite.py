"""The skill ``code.test``: given tests against given code, in the sandbox, as a structured verdict."""

import json
import re
import secrets
from dataclasses import dataclass

from concilium.contracts.base import JSON
from concilium.workers.code import host
from concilium.workers.code.inputs import check_apart, encoded, given
from concilium.workers.code.inside import program
from concilium.workers.code.record import limit_text, resources, text
from concilium.workers.code.sandbox.job import File, Job, Outcome
from concilium.workers.code.verdict import Verdict, judge
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult

TEST_FILE = "test_solution.py"
CODE_FILE = "solution.py"
_TEST_S = 10.0
_OUTPUT_CHARS = 4000
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.py")


@dataclass(frozen=True)
class Suite:
    """Tests and what they are run against."""

    tests: tuple[File, ...]
    files: tuple[File, ...]
    timeout_s: float | None = None

    @property
    def asked(self) -> list[str]:
        """The files that pytest is to look into."""
        return [file.name for file in self.tests if file.name != "conftest.py"]


async def test(ctx: SkillContext, data: JSON) -> SkillResult:
    """Run the tests.

    Raises:
        SkillFailed: ``no-sandbox``, ``packages-missing``, ``no-pytest``, ``invalid``, ``sandbox-broken``.
    """
    suite = suite_of(ctx, data, code=CODE_FILE)
    found = await host.place(ctx.settings)
    await ctx.progress(0.1, f"running {len(suite.asked)} test files")
    return SkillResult(await carry_out(ctx, found, suite))


def suite_of(ctx: SkillContext, data: JSON, *, code: str) -> Suite:
    """Return the suite of an input; a text as ``code`` is the file of that name. Raises `SkillFailed` ``invalid``."""
    tests = tests_of(ctx, data["tests"])
    files = given(ctx, data.get("files", []))
    if "code" in data:
        files = (File(code, encoded(data["code"])), *files)
    check_apart((*tests, *files))
    if any(file.name == "conftest.py" for file in files):
        raise SkillFailed("invalid", "conftest.py decides what passes, so it belongs to `tests`, not to the code.")
    return Suite(tests, files, data.get("timeout_s"))


def tests_of(ctx: SkillContext, said: JSON) -> tuple[File, ...]:
    """Return the test files of an input. Raises `SkillFailed` ``invalid``."""
    if isinstance(said, str):
        return (File(TEST_FILE, encoded(said)),)
    tests = given(ctx, said)
    odd = next((file.name for file in tests if not _MODULE.fullmatch(file.name)), None)
    if odd:
        raise SkillFailed("invalid", f"'{odd[:80]}' is no name of a Python module; name tests as in test_it.py.")
    if all(file.name == "conftest.py" for file in tests):
        raise SkillFailed("invalid", "There is no test file, only conftest.py.")
    return tests


async def carry_out(ctx: SkillContext, found: host.Place, suite: Suite) -> dict[str, JSON]:
    """Return the output of a test run.

    Raises:
        SkillFailed: ``no-pytest``, ``sandbox-broken``.
    """
    if not found.packages.version("pytest"):
        raise SkillFailed("no-pytest", "Tests are not run: add pytest==<version> to settings.packages of agents/code.")
    key = secrets.token_bytes(32)
    asked = {"tests": suite.asked, "test_s": float(ctx.settings.get("test_s", _TEST_S))}
    job = Job(
        language="python",
        source=program("tester"),
        name="tester.py",
        stdin=f"{key.hex()}\n{json.dumps(asked)}".encode(),
        files=(*suite.tests, *suite.files),
        limits=host.limits(ctx.settings, suite.timeout_s),
    )
    outcome = await host.carry_out_in(found, job, importable=False)
    limit = limit_text(outcome, job.limits) if outcome.limit else ""
    return _output(judge(outcome, key, limit), outcome, found)


def _output(verdict: Verdict, outcome: Outcome, found: host.Place) -> dict[str, JSON]:
    notes = ["what was written among the tester's records was ignored"] if verdict.ignored else []
    return {
        "ok": verdict.ok,
        "complete": verdict.complete,
        "reason": verdict.reason,
        "passed": verdict.count("passed"),
        "failed": verdict.count("failed"),
        "errors": verdict.count("error"),
        "skipped": verdict.count("skipped"),
        "duration_s": round(outcome.duration_s, 6),
        "cases": [
            {"name": c.name, "outcome": c.outcome, "message": c.message, "duration_s": round(c.duration_s, 6)}
            for c in verdict.cases
        ],
        "printed": text(outcome.stderr)[-_OUTPUT_CHARS:],
        "limit": outcome.limit,
        "notes": notes,
        "sandbox": found.record,
        "resources": resources(outcome),
    }
