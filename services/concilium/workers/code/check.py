"""The skill ``code.check``: what a compiler, a linter and a shell's parser say of sources that are never run.

All of them run inside the sandbox: a source can be made to crash or to burden them.
"""

import json
from typing import Literal

from pydantic import Field, ValidationError

from concilium.contracts.base import JSON, Model
from concilium.workers.code import host
from concilium.workers.code.inputs import check_apart, encoded, given
from concilium.workers.code.inside import program
from concilium.workers.code.record import limit_detail, resources
from concilium.workers.code.run import guess_language
from concilium.workers.code.sandbox.job import File, Job
from concilium.workers.runtime.skill import SkillContext, SkillFailed, SkillResult

FINDINGS_MAX = 300
_WALL_S = 45.0
_RULES = "E4,E7,E9,F,B,PLE,ASYNC,W605"
"""Mistakes rather than taste: imports, statements, syntax, pyflakes, bugbear, pylint's errors, blocking in async."""
_RUFF = ("check", "--isolated", "--no-cache", "--exit-zero", "--output-format", "json-lines", "--select", _RULES)


class Edit(Model):
    """Replace the text between two places (1-based lines and columns) by ``content``."""

    line: int
    column: int
    end_line: int
    end_column: int
    content: str


class Fix(Model):
    """How a finding can be mended."""

    message: str
    safe: bool
    """The meaning stays the same."""
    edits: tuple[Edit, ...]


class Finding(Model):
    """One thing found; lines and columns count from 1."""

    file: str
    line: int
    column: int
    end_line: int | None = None
    end_column: int | None = None
    code: str
    """``syntax-error``, ``syntax-warning``, ``too-complex``, or ruff's rule, as in ``F401``."""
    message: str
    severity: Literal["error", "warning"]
    fix: Fix | None = None


class Report(Model):
    """What the program in the sandbox says."""

    findings: tuple[Finding, ...]
    more: int = Field(ge=0)
    notes: tuple[str, ...]


async def check(ctx: SkillContext, data: JSON) -> SkillResult:
    """Return the findings.

    Raises:
        SkillFailed: as `examine`; ``invalid`` for names that cannot be used.
    """
    files = sources(ctx, data)
    found = await host.place(ctx.settings)
    return SkillResult(await examine(ctx, found, files, data.get("language")))


async def examine(
    ctx: SkillContext, found: host.Place, files: tuple[File, ...], language: str | None
) -> dict[str, JSON]:
    """Return the output of a check.

    Raises:
        SkillFailed: a limit's name, ``sandbox-broken``, ``check-broken`` (what came back is no report).
    """
    named = [_described(file, language) for file in files]
    ruff = _ruff(found)
    job = Job(
        language="python",
        source=program("checker"),
        name="checker.py",
        stdin=json.dumps({"files": named, "ruff": ruff, "findings_max": FINDINGS_MAX}).encode(),
        files=files,
        limits=host.limits(ctx.settings, _WALL_S),
    )
    outcome = await host.carry_out_in(found, job, importable=False)
    if outcome.limit:
        raise SkillFailed(outcome.limit, limit_detail("Checking", outcome, job.limits, found.record))
    try:
        report = Report.model_validate_json(outcome.stdout)
    except ValidationError as error:
        raise SkillFailed("check-broken", "The checker in the sandbox gave no report.", retryable=True) from error
    linter = [f"ruff {found.packages.version('ruff')}"] if ruff else []
    return {
        "ok": not any(finding.severity == "error" for finding in report.findings),
        "findings": [finding.model_dump(mode="json", exclude_none=True) for finding in report.findings],
        "more": report.more,
        "checked": [{"name": each["name"], "language": each["language"]} for each in named],
        "tools": [f"Python {found.packages.python.version}", *linter],
        "notes": [*report.notes, *_missing(named, ruff)],
        "sandbox": found.record,
        "resources": resources(outcome),
    }


def sources(ctx: SkillContext, data: JSON) -> tuple[File, ...]:
    """Return the sources of an input: a text, or files. Raises `SkillFailed` ``invalid``."""
    if "source" in data:
        content = encoded(data["source"])
        shell = (data.get("language") or guess_language("", content)) == "shell"
        return (File("main.sh" if shell else "main.py", content),)
    files = given(ctx, data["files"])
    check_apart(files)
    return files


def _described(file: File, language: str | None) -> dict[str, JSON]:
    """Return what the checker is told of a file; the shell is the one its first line asks for."""
    first = file.content[:200].split(b"\n", 1)[0].rstrip()
    plain = first.startswith(b"#!") and first.endswith((b"/sh", b" sh", b"dash"))
    language = language or guess_language(file.name, file.content)
    return {"name": file.name, "language": language, "shell": "sh" if plain else "bash"}


def _ruff(found: host.Place) -> list[str]:
    """Return ruff's command, nothing when it is not among the packages."""
    if not found.packages.version("ruff"):
        return []
    minor = "".join(found.packages.python.version.split(".")[:2])
    return [str(found.packages.folder / "bin" / "ruff"), *_RUFF, "--target-version", f"py{minor}"]


def _missing(named: list[dict[str, JSON]], ruff: list[str]) -> list[str]:
    python = any(each["language"] == "python" for each in named)
    return ["ruff is not in settings.packages, so only the compiler looked"] if python and not ruff else []
