"""The skill ``code.generate``: a module written by the engine, tried in the sandbox, mended in rounds."""

import re
import sys

from concilium.contracts.a2a.parts import file_ref
from concilium.contracts.base import JSON
from concilium.engine import EngineClient
from concilium.workers.code import host, suite
from concilium.workers.code.inputs import check_apart, encoded, given
from concilium.workers.code.prompt import Asked
from concilium.workers.code.sandbox.job import File
from concilium.workers.code.writing import Attempt, Writing
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillResult

_ROUNDS = 3
_IMPORT = re.compile(r"^(?:from|import)\s+([A-Za-z_]\w*)", re.MULTILINE)
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")
_COUNTS = ("passed", "failed", "errors", "skipped")


async def generate(ctx: SkillContext, data: JSON) -> SkillResult:
    """Return the best attempt, whether or not it passed.

    Raises:
        SkillFailed: ``invalid``, ``no-engine``, ``no-code``; before there is any code also ``engine-unreachable``,
            ``engine-timeout``, ``engine-refused``, ``engine-garbage``, ``deadline-exceeded``; and as `suite.carry_out`.
    """
    if ctx.engine is None:
        raise SkillFailed(
            "no-engine",
            "Writing code needs a language model: set engine.url (and engine.model) in mesh.yaml to an "
            "OpenAI-compatible server. Without one, running, checking and testing code still work.",
        )
    asked = _asked(ctx, data)
    writing = Writing(ctx, await host.place(ctx.settings), asked)
    async with EngineClient(ctx.engine, ctx.models) as engine:
        await writing.go_on(engine)
    best = writing.best
    if best is None:
        raise SkillFailed("no-code", f"The engine's answers held no Python source in {len(writing.attempts)} rounds.")
    return _result(writing, best)


def _asked(ctx: SkillContext, data: JSON) -> Asked:
    """Return what is to be written. Raises `SkillFailed` ``invalid``."""
    if not data["task"].strip():
        raise SkillFailed("invalid", "The task is empty.")
    tests = suite.tests_of(ctx, data["tests"]) if "tests" in data else ()
    files = given(ctx, data.get("files", []))
    module = data.get("module") or _wanted_module(tests, files)
    if not _MODULE.fullmatch(module):
        raise SkillFailed("invalid", f"'{module[:80]}' is no name of a Python module.")
    check_apart((*tests, *files, File(f"{module}.py", b"")))
    if any(file.name == "conftest.py" for file in files):
        raise SkillFailed("invalid", "conftest.py decides what passes, so it belongs to `tests`.")
    _check_imported(module, tests)
    return Asked(data["task"], f"{module}.py", tests, files, data.get("rounds", _ROUNDS))


def _wanted_module(tests: tuple[File, ...], files: tuple[File, ...]) -> str:
    """Return the one module that the tests import and nobody gave, else ``solution``."""
    texts = [file.content.decode("utf-8", "replace") for file in tests]
    imported = {name for text in texts for name in _IMPORT.findall(text)}
    there = {file.name.removesuffix(".py") for file in (*tests, *files)} | sys.stdlib_module_names | {"pytest"}
    missing = imported - there
    return missing.pop() if len(missing) == 1 else "solution"


def _check_imported(module: str, tests: tuple[File, ...]) -> None:
    """Raise `SkillFailed` ``invalid`` when no test imports the module: nothing written could pass or fail them."""
    named = any(re.search(rf"\b{module}\b", file.content.decode("utf-8", "replace")) for file in tests)
    if tests and not named:
        detail = (
            f"No test imports '{module}'. Set `module` to the name that the tests import, or import {module} there."
        )
        raise SkillFailed("invalid", detail)


def _result(writing: Writing, best: Attempt) -> SkillResult:
    tested = bool(writing.asked.tests)
    content = encoded(best.source)
    file = OutFile(writing.asked.module, "text/x-python", content)
    output = {
        "source": best.source,
        "file": file_ref(file.name, file.media_type, content).model_dump(mode="json"),
        "passed": best.outcome == "passed" if tested else None,
        "best_round": best.number,
        "rounds": [_round(attempt) for attempt in writing.attempts],
        "tests": best.tests,
        "model": writing.model,
        "notes": [*writing.notes, *_notes(tested, best)],
        "sandbox": writing.place.record,
    }
    return SkillResult(output, (file,))


def _round(attempt: Attempt) -> dict[str, JSON]:
    counts = {name: attempt.tests[name] if attempt.tests else 0 for name in _COUNTS}
    return {"round": attempt.number, "outcome": attempt.outcome, "told": attempt.told, **counts}


def _notes(tested: bool, best: Attempt) -> list[str]:
    if not tested:
        return ["no tests were given, so the module was checked for mistakes, not run"]
    if best.outcome != "passed":
        return ["no attempt passed all tests; this is the one that passed most"]
    return []
