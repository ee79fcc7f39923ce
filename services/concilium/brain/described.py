"""What one step's output says in the answer, by its skill."""

from collections.abc import Callable

from concilium.brain.resolve import files_of
from concilium.brain.words import Language, say
from concilium.contracts.base import JSON
from concilium.contracts.turn import StepRun

_TEXT_CHARS = 20_000
"""Characters of one step's text in the answer; the whole is in ``outputs`` and the artifacts."""
_LISTED = 20
"""Findings, failed tests and codes shown; all are in ``outputs``."""


def described(run: StepRun, language: Language) -> str:
    """Return the text of a completed step; an output of an unknown shape is shown as it is."""
    output = run.output if isinstance(run.output, dict) else {"result": run.output}
    text = _BY_SKILL.get(run.skill, _generic)(run, output, language)
    return "\n".join([text, *_remarks(output, language)])


def _code(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    lines = [_cut(output.get("stdout", "")) or say("empty", language)]
    if output.get("exit_code"):
        lines.append(say("exit", language, code=output["exit_code"]))
        lines.append(_cut(output.get("stderr", "")))
    if output.get("limit"):
        lines.append(say("limit", language, limit=output["limit"]))
    return "\n".join([line for line in lines if line] + _files(run, language))


def _image(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    wanted = ("format", "width", "height", "mode", "bytes")
    if not all(name in output for name in wanted):
        return _generic(run, output, language)
    facts = say("image", language, **{name: output[name] for name in wanted})
    facts = "\n".join([facts, *_more_of_image(output, language)])
    codes = [f"{code.get('type')}: {_cut(code.get('text', ''))}" for code in _dicts(output, "barcodes")]
    return "\n".join([facts, *codes, *_files(run, language)])


def _more_of_image(output: dict[str, JSON], language: Language) -> list[str]:
    lines = []
    if output.get("frames", 1) != 1:
        lines.append(say("frames", language, count=output["frames"]))
    if isinstance(dpi := output.get("dpi"), list) and len(dpi) == 2:
        lines.append(say("dpi", language, x=dpi[0], y=dpi[1]))
    if colours := _dicts(output, "colours"):
        parts = (f"{colour.get('hex')} {colour.get('share', 0):.0%}" for colour in colours)
        lines.append(say("colours", language, list=", ".join(parts)))
    if private := _texts(output, "private"):
        lines.append(say("private", language, list=", ".join(private)))
    return lines


def _remarks(output: dict[str, JSON], language: Language) -> list[str]:
    """Return what the agent adds to a result: how many pages there were, what it left out, what it noticed."""
    lines = []
    if isinstance(count := output.get("page_count"), int) and count > 1:
        lines.append(say("pages", language, count=count))
    if omitted := _texts(output, "omitted"):
        lines.append(say("omitted", language, list=", ".join(omitted)))
    return lines + [say("note", language, text=note) for note in _texts(output, "notes")]


def _findings(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    found = _dicts(output, "findings")
    lines = [
        f"{f.get('file')}:{f.get('line')}:{f.get('column')} {f.get('severity')}: {f.get('message')} ({f.get('code')})"
        for f in found
    ]
    return "\n".join([*(lines or [say("no_findings", language)]), *_files(run, language)])


def _tests(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    counts = {name: output.get(name, 0) for name in ("passed", "failed", "errors", "skipped")}
    bad = [case for case in _dicts(output, "cases") if case.get("outcome") in ("failed", "error")]
    lines = [f"{case.get('name')}: {_first_line(case.get('message', ''))}" for case in bad]
    reason = [] if output.get("complete", True) else [_cut(output.get("reason", ""))]
    return "\n".join([say("tests", language, **counts), *reason, *lines, *_files(run, language)])


def _generated(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    verdicts = {True: "tests_passed", False: "tests_failed"}
    said = verdicts.get(output["passed"]) if isinstance(output.get("passed"), bool) else "untested"
    lines = [_cut(output.get("source", "")), say(said or "untested", language)]
    return "\n\n".join(lines) + "".join(f"\n{line}" for line in _files(run, language))


def _speech(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    seconds = output.get("duration_s")
    names = [file.name for file in files_of(run.artifacts)]
    if not isinstance(seconds, int | float) or not names:
        return _generic(run, output, language)
    spoken = _cut(run.input.get("text", ""))
    return "\n".join([*([spoken] if spoken else []), say("audio", language, name=names[0], seconds=seconds)])


def _generic(run: StepRun, output: dict[str, JSON], language: Language) -> str:
    texts = [output[name] for name in ("text", "answer", "result", "summary") if isinstance(output.get(name), str)]
    scalars = [f"{key}: {value}" for key, value in output.items() if isinstance(value, str | int | float | bool)]
    body = _cut(texts[0]) if texts else _cut("\n".join(scalars))
    return "\n".join([body or say("empty", language), *_files(run, language)])


_BY_SKILL: dict[str, Callable[[StepRun, dict[str, JSON], Language], str]] = {
    "code.run": _code,
    "code.check": _findings,
    "code.test": _tests,
    "code.generate": _generated,
    "vision.inspect": _image,
    "tts.speak": _speech,
}


def _files(run: StepRun, language: Language) -> list[str]:
    return [say("file", language, name=file.name) for file in files_of(run.artifacts)]


def _dicts(output: dict[str, JSON], name: str) -> list[dict[str, JSON]]:
    """Return the first objects of a list in an output."""
    found = output.get(name)
    return [item for item in found if isinstance(item, dict)][:_LISTED] if isinstance(found, list) else []


def _texts(output: dict[str, JSON], name: str) -> list[str]:
    """Return the first texts of a list in an output."""
    found = output.get(name)
    return [_first_line(item) for item in found if isinstance(item, str)][:_LISTED] if isinstance(found, list) else []


def _first_line(value: JSON) -> str:
    return next(iter(str(value).strip().splitlines()), "")[:300]


def _cut(value: JSON) -> str:
    text = str(value).rstrip()
    return text if len(text) <= _TEXT_CHARS else text[:_TEXT_CHARS] + " …"
