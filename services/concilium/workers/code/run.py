"""The skill ``code.run``: from input to job, from outcome to result or clear failure."""

import mimetypes
import signal
from collections.abc import Mapping
from pathlib import PurePosixPath

from concilium.contracts.base import JSON
from concilium.workers.code import host
from concilium.workers.code.inputs import check_apart, encoded, given, plain_name
from concilium.workers.code.record import limit_detail, resources, text
from concilium.workers.code.sandbox.job import Job, Outcome
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillResult

_SHELL_SUFFIXES = {".sh", ".bash"}


async def run(ctx: SkillContext, data: JSON) -> SkillResult:
    """Run the script and return what it printed and wrote.

    Raises:
        SkillFailed: ``no-sandbox``, ``packages-missing``; a limit's name; ``invalid`` for an input that cannot be run;
            ``sandbox-broken``.
    """
    found = await host.place(ctx.settings)
    job = _job(ctx, data)
    await ctx.progress(None, f"the script starts in the sandbox {found.record['rung']}")
    outcome = await host.carry_out_in(found, job)
    if outcome.limit:
        raise SkillFailed(outcome.limit, limit_detail("The script", outcome, job.limits, found.record))
    files = _out_files(outcome)
    return SkillResult(_output(outcome, found, files), files)


def _job(ctx: SkillContext, data: Mapping[str, JSON]) -> Job:
    script = data.get("script")
    source = ctx.files[script["sha256"]] if script else encoded(data["source"])
    language = data.get("language") or guess_language(script["name"] if script else "", source)
    default = "main.sh" if language == "shell" else "main.py"
    inputs = given(ctx, data.get("files", []))
    check_apart(inputs)
    arguments = tuple(data.get("args", []))
    if any("\0" in argument for argument in arguments):
        raise SkillFailed("invalid", "An argument holds a zero character.")
    return Job(
        language=language,
        source=source,
        name=plain_name(script["name"]) if script else default,
        stdin=encoded(data.get("stdin", "")),
        files=inputs,
        arguments=arguments,
        limits=host.limits(ctx.settings, data.get("timeout_s")),
    )


def guess_language(name: str, source: bytes) -> str:
    """Return ``shell`` for a script so named or begun, else ``python``."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _SHELL_SUFFIXES:
        return "shell"
    first_line = source[:200].split(b"\n", 1)[0]
    is_shell = not suffix and first_line.startswith(b"#!") and first_line.rstrip().endswith(b"sh")
    return "shell" if is_shell else "python"


def _out_files(outcome: Outcome) -> tuple[OutFile, ...]:
    """Give each file a plain name of its own: folders become underscores, a second file of a name gets a number."""
    taken: set[str] = set()
    files = []
    for file in outcome.files:
        flat = "".join(c if c.isprintable() and c != "\\" else "_" for c in file.name.replace("/", "_"))[-200:]
        name, number = flat, 2
        while name in taken:
            name, number = f"{number}-{flat}", number + 1
        taken.add(name)
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        files.append(OutFile(name, media_type, file.content))
    return tuple(files)


def _output(outcome: Outcome, found: host.Place, files: tuple[OutFile, ...]) -> dict[str, JSON]:
    return {
        "stdout": text(outcome.stdout),
        "stderr": text(outcome.stderr),
        "exit_code": outcome.exit_code,
        "signal": _signal_name(outcome.signal),
        "duration_s": round(outcome.duration_s, 6),
        "truncated": outcome.truncated,
        "limit": outcome.limit,
        "sandbox": found.record,
        "resources": resources(outcome),
        "files": [file.name for file in files],
        "omitted": list(outcome.omitted),
    }


def _signal_name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
