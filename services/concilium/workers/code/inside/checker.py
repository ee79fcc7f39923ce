"""Reads source files without running them: the compiler, ruff, the shell's own parser.

Standard input: ``{"files": [{"name", "language", "shell"}], "ruff": [option, …], "findings_max": n}``.
Standard output: ``{"findings": [...], "more": n, "notes": [...]}``. The compiler and the parsers are child processes
with little memory, for a source can be made to crash or to fill them.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Any

_PART_S = 15.0
_PART_BYTES = 256 << 20
_SAID_BYTES = 4 << 20
_TEXT_CHARS = 500
_EDIT_CHARS = 2000
_TOLD_CHARS = 400_000
_COMPILE = """
import json, sys, warnings
found = []
def add(severity, code, message, at):
    found.append({"severity": severity, "code": code, "message": str(message), **at})
def place(error):
    at = {"line": error.lineno or 1, "column": max(1, error.offset or 1)}
    if error.end_lineno and error.end_offset:
        at |= {"end_line": error.end_lineno, "end_column": error.end_offset}
    return at
start = {"line": 1, "column": 1}
with open(sys.argv[1], "rb") as file:
    source = file.read()
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    try:
        compile(source, sys.argv[1], "exec", dont_inherit=True)
    except SyntaxError as error:
        add("error", "syntax-error", error.msg, place(error))
    except (RecursionError, MemoryError):
        add("error", "too-complex", "nested too deeply for Python's compiler", start)
    except (ValueError, OverflowError) as error:
        add("error", "syntax-error", error, start)
for each in warned[:300]:
    add("warning", "syntax-warning", each.message, {"line": each.lineno or 1, "column": 1})
print(json.dumps(found))
"""
_BASH = re.compile(r"^.*?: line (\d+): (.*)$")
_DASH = re.compile(r"^.*?: (\d+): (.*)$")

Finding = dict[str, Any]


def main() -> None:
    """Check what standard input names and print the findings."""
    job = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_DATA, (_PART_BYTES, _PART_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_SAID_BYTES, _SAID_BYTES))
    os.environ["RAYON_NUM_THREADS"] = "2"  # ruff's, each with a stack of its own
    findings: list[Finding] = []
    notes: list[str] = []
    python = [file["name"] for file in job["files"] if file["language"] == "python"]
    for file in job["files"]:
        found = _compiled(file["name"]) if file["language"] == "python" else _parsed(file["name"], file["shell"])
        findings += [{"file": file["name"], **each} for each in found]
    broken = {each["file"] for each in findings if each["severity"] == "error"}
    sound = [name for name in python if name not in broken]
    linted = _linted(sound, job["ruff"], notes) if sound and job["ruff"] else None
    if linted is not None:  # ruff has a rule for each of the compiler's warnings, with a better place
        findings = [each for each in findings if each["code"] != "syntax-warning" or each["file"] not in sound]
        findings += linted
    findings.sort(key=lambda each: (each["severity"] != "error", each["file"], each["line"], each["column"]))
    kept = _first(findings, job["findings_max"])
    print(json.dumps({"findings": kept, "more": len(findings) - len(kept), "notes": notes}))


def _first(findings: list[Finding], most: int) -> list[Finding]:
    """Return the first findings, as many as may be told."""
    kept, left = [], _TOLD_CHARS
    for each in findings[:most]:
        each["message"] = _short(each["message"])
        left -= len(json.dumps(each))
        if left < 0:
            break
        kept.append(each)
    return kept


def _compiled(name: str) -> list[Finding]:
    done = _child([sys.executable, "-I", "-B", "-X", "utf8", "-c", _COMPILE, "./" + name])
    if done is None:
        return [_whole_file("too-complex", f"the compiler did not end within {_PART_S:g} s")]
    if done.returncode != 0:
        return [_whole_file("too-complex", f"the compiler crashed on it (exit status {done.returncode})")]
    found: list[Finding] = json.loads(done.stdout)
    return found


def _parsed(name: str, shell: str) -> list[Finding]:
    shell = shutil.which(shell) or "/bin/sh"
    done = _child([shell, "-n", "./" + name])
    if done is None:
        return [_whole_file("too-complex", f"the shell's parser did not end within {_PART_S:g} s")]
    found = []
    for line in done.stderr.decode("utf-8", "replace").splitlines():
        match = _BASH.match(line) or _DASH.match(line)
        if match and not match[2].startswith("`"):  # bash repeats the line in a second message
            place = {"line": int(match[1][:9]), "column": 1}
            warning = match[2].startswith("warning:")
            code = "syntax-warning" if warning else "syntax-error"
            found.append({"severity": "warning" if warning else "error", "code": code, "message": match[2], **place})
    if done.returncode != 0 and not any(each["severity"] == "error" for each in found):
        found.append(_whole_file("too-complex", f"the shell's parser crashed on it (exit status {done.returncode})"))
    return found


def _linted(names: list[str], options: list[str], notes: list[str]) -> list[Finding] | None:
    done = _child([*options, "--", *("./" + name for name in names)])
    if done is None or done.returncode not in (0, -signal.SIGXFSZ):
        ended = "in time" if done is None else f"well (exit status {done.returncode})"
        notes.append(f"ruff did not end {ended}, so only the compiler's findings are here")
        return None
    if done.returncode:
        notes.append("ruff found more than can be told, so not all of its findings are here")
    lines = done.stdout.split(b"\n")[:-1]  # after the last line end is nothing, or a line that was cut
    return [_ruff_finding(json.loads(line)) for line in lines]


def _ruff_finding(found: Any) -> Finding:
    code = found["code"] or "invalid-syntax"
    # What is certain to fail when it is reached; the rest is style or suspicion.
    error = code == "invalid-syntax" or code.startswith(("E9", "F82", "F50", "F63", "F70", "PLE"))
    finding = {
        "severity": "error" if error else "warning",
        "file": found["filename"].rsplit("/", 1)[-1],
        "code": code,
        "message": found["message"],
        "line": found["location"]["row"],
        "column": found["location"]["column"],
        "end_line": found["end_location"]["row"],
        "end_column": found["end_location"]["column"],
    }
    fix = found.get("fix")
    if fix and len(fix["edits"]) <= 20 and sum(len(edit["content"]) for edit in fix["edits"]) <= _EDIT_CHARS:
        finding["fix"] = {
            "message": _short(fix["message"] or ""),
            "safe": fix["applicability"] == "safe",
            "edits": [_edit(edit) for edit in fix["edits"]],
        }
    return finding


def _edit(edit: Any) -> Finding:
    start, end = edit["location"], edit["end_location"]
    places = {"line": start["row"], "column": start["column"], "end_line": end["row"], "end_column": end["column"]}
    return {**places, "content": edit["content"].replace("\0", "\ufffd")}


def _whole_file(code: str, message: str) -> Finding:
    return {"severity": "error", "code": code, "message": message, "line": 1, "column": 1}


def _short(text: str) -> str:
    """Return text that every database can store, cut."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:_TEXT_CHARS]


def _child(command: list[str]) -> "subprocess.CompletedProcess[bytes] | None":
    """Return how it ended, with the first bytes of what it said; None when it took too long."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        try:
            done = subprocess.run(  # noqa: S603 - inside the sandbox
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, timeout=_PART_S, check=False
            )
        except subprocess.TimeoutExpired:
            return None
        said.seek(0)
        complained.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, said.read(), complained.read())


if __name__ == "__main__":
    main()
