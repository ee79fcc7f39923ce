"""The skill ``code.run``: from input to job, from outcome to result or clear failure."""

import mimetypes
import signal
from collections.abc import Mapping
from pathlib import PurePosixPath

from concilium.contracts.base import JSON
from concilium.workers.code import host
from concilium.workers.code.sandbox.job import File, Job, Limits, Outcome, SandboxError
from concilium.workers.code.sandbox.probe import RungReport
from concilium.workers.runtime.skill import OutFile, SkillContext, SkillFailed, SkillResult

_TAIL_CHARS = 600
_SHELL_SUFFIXES = {".sh", ".bash"}
_LIMIT_TEXT = {
    "cpu-time": "used more than {limits.cpu_s:g} s of CPU time",
    "wall-time": "ran longer than {limits.wall_s:g} s",
    "memory": "held more than {limits.memory_bytes} bytes of memory",
    "disk": "stored more than {limits.disk_bytes} bytes, or too many files",
    "output": "printed more than {limits.output_bytes} bytes",
    "processes": "had more than {limits.processes} processes and threads at once",
}


async def run(ctx: SkillContext, data: JSON) -> SkillResult:
    """Run the script and return what it printed and wrote.

    Raises:
        SkillFailed: ``no-sandbox``; a limit's name; ``invalid`` for an input that cannot be run; ``sandbox-broken``.
    """
    rung = await host.chosen_rung(ctx.settings)
    job = _job(ctx, data)
    try:
        outcome = await host.carry_out(rung, job)
    except SandboxError as error:
        raise SkillFailed("sandbox-broken", f"The sandbox {rung.name} failed: {error}", retryable=True) from error
    if outcome.limit:
        raise SkillFailed(outcome.limit, _limit_detail(outcome, job.limits))
    files = _out_files(outcome)
    return SkillResult(_output(outcome, rung, files), files)


def _job(ctx: SkillContext, data: Mapping[str, JSON]) -> Job:
    script = data.get("script")
    source = ctx.files[script["sha256"]] if script else data["source"].encode("utf-8", "replace")
    language = data.get("language") or _guess_language(script["name"] if script else "", source)
    default = "main.sh" if language == "shell" else "main.py"
    inputs = tuple(File(_plain(ref["name"]), ctx.files[ref["sha256"]]) for ref in data.get("files", []))
    if len({file.name for file in inputs}) != len(inputs):
        raise SkillFailed("invalid", "Two of the files have the same name; rename one.")
    arguments = tuple(data.get("args", []))
    if any("\0" in argument for argument in arguments):
        raise SkillFailed("invalid", "An argument holds a zero character.")
    return Job(
        language=language,
        source=source,
        name=_plain(script["name"]) if script else default,
        stdin=data.get("stdin", "").encode("utf-8", "replace"),
        files=inputs,
        arguments=arguments,
        limits=host.limits(ctx.settings, data.get("timeout_s")),
    )


def _plain(name: str) -> str:
    """Refuse names that are no plain file names."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name or len(name.encode()) > 255:
        raise SkillFailed("invalid", f"'{name[:80]}' is not a file name that can be used in the sandbox.")
    return name


def _guess_language(name: str, source: bytes) -> str:
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


def _output(outcome: Outcome, rung: RungReport, files: tuple[OutFile, ...]) -> dict[str, JSON]:
    return {
        "stdout": _text(outcome.stdout),
        "stderr": _text(outcome.stderr),
        "exit_code": outcome.exit_code,
        "signal": _signal_name(outcome.signal),
        "duration_s": round(outcome.duration_s, 6),
        "truncated": outcome.truncated,
        "limit": outcome.limit,
        "sandbox": {"rung": rung.name, "unbounded": list(rung.unbounded)},
        "resources": {
            "cpu_s": round(outcome.cpu_s, 6),
            "memory_peak_bytes": outcome.memory_peak,
            "disk_bytes": outcome.disk,
            "processes_peak": outcome.processes_peak,
        },
        "files": [file.name for file in files],
        "omitted": list(outcome.omitted),
    }


def _text(content: bytes) -> str:
    """Return what was printed as text that every database can store: neither invalid UTF-8 nor zero characters."""
    return content.decode("utf-8", "replace").replace("\0", "\ufffd")


def _signal_name(number: int | None) -> str | None:
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _limit_detail(outcome: Outcome, limits: Limits) -> str:
    text = _LIMIT_TEXT[outcome.limit or ""].format(limits=limits)
    parts = [f"The script {text}, and was ended after {outcome.duration_s:.1f} s."]
    for name, content in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        if content:
            parts.append(f"{name} ended with: {_text(content[-4 * _TAIL_CHARS :])[-_TAIL_CHARS:]}")
    return "\n".join(parts)
