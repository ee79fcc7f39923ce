"""What `code.check` finds, and that no source can hurt it."""

from typing import Any

import pytest

from integration.code.conftest import Sandboxed
from support.code_agent import CodeAgent


def codes(output: Any) -> list[tuple[int, str]]:
    return [(finding["line"], finding["code"]) for finding in output["findings"]]


async def test_it_works_on_every_rung(box: Sandboxed, agent: CodeAgent) -> None:
    held = agent.with_settings(rungs=[box.rung])
    output = await held.run("code.check", {"source": "import os\nprint(nme)\n"})
    assert output["sandbox"]["rung"] == box.rung
    assert (output["ok"], codes(output)) == (False, [(2, "F821"), (1, "F401")])


async def test_a_sound_module_has_no_findings(agent: CodeAgent) -> None:
    output = await agent.run("code.check", {"source": "def double(x: int) -> int:\n    return 2 * x\n"})
    assert (output["ok"], output["findings"], output["more"], output["notes"]) == (True, [], 0, [])
    assert output["checked"] == [{"name": "main.py", "language": "python"}]
    assert [tool.split()[0] for tool in output["tools"]] == ["Python", "ruff"]


async def test_a_syntax_error_has_its_place(agent: CodeAgent) -> None:
    output = await agent.run("code.check", {"source": "x = 1\ndef f(:\n    pass\n"})
    assert output["ok"] is False
    assert output["findings"] == [
        {
            "file": "main.py",
            "line": 2,
            "column": 7,
            "end_line": 2,
            "end_column": 8,
            "code": "syntax-error",
            "message": "invalid syntax",
            "severity": "error",
        }
    ]


async def test_a_fix_can_be_applied(agent: CodeAgent) -> None:
    source = "import os\nx = 1\n"
    output = await agent.run("code.check", {"source": source})
    (finding,) = output["findings"]
    assert (finding["code"], finding["severity"], output["ok"]) == ("F401", "warning", True)
    (edit,) = finding["fix"]["edits"]
    assert finding["fix"]["safe"] is True
    assert edit == {"line": 1, "column": 1, "end_line": 2, "end_column": 1, "content": ""}


async def test_several_files_are_told_apart(agent: CodeAgent) -> None:
    files = {
        "a.py": b"print(x)\n",
        "b.sh": b"#!/bin/bash\nif true; then\n",
        "ok.py": b"",
        "c": b"#!/bin/sh\necho $((1\n",
    }
    output = await agent.run("code.check", {"files": list(files)}, files)
    assert [(f["file"], f["line"]) for f in output["findings"]][:2] == [("a.py", 1), ("b.sh", 3)]
    assert [c["language"] for c in output["checked"]] == ["python", "shell", "python", "shell"]
    assert {f["file"] for f in output["findings"]} == {"a.py", "b.sh", "c"}


async def test_checking_runs_nothing(agent: CodeAgent) -> None:
    source = "print('ran')\nopen('ran', 'w')\nimport os\nos._exit(3)\n"
    output = await agent.run("code.check", {"source": source})
    assert output["ok"] is True
    shell = await agent.run("code.check", {"source": "touch ran; exit 3; $(kill -9 $PPID)\n", "language": "shell"})
    assert shell["ok"] is True


async def test_configuration_among_the_files_is_not_obeyed(agent: CodeAgent) -> None:
    files = {
        "a.py": b"import os\n",
        "ruff.toml": b"force-exclude = true\nexclude = ['*']\n[lint.per-file-ignores]\n'*' = ['F']\n",
        "pyproject.toml": b"[tool.ruff]\nexclude = ['*']\n",
        "json.py": b"raise SystemExit('shadowed')\n",
    }
    output = await agent.run("code.check", {"files": list(files)}, files)
    assert ("a.py", "F401") in [(f["file"], f["code"]) for f in output["findings"]]


HOSTILE = {
    "brackets": "(" * 100_000,
    "closed brackets": "x = " + "[" * 5000 + "]" * 5000,
    "unary": "x = " + "-" * 300_000 + "1",
    "attributes": "x = a" + ".b" * 200_000,
    "sum": "x = 1" + " + 1" * 100_000,
    "indents": "".join(" " * n + "if 1:\n" for n in range(99)) + " " * 99 + "x = 1",
    "deep indents": "".join(" " * n + "if 1:\n" for n in range(400)),
    "f-strings": "x = " + "f'{" * 500,
    "zero": "x = 1\0",
    "unknown coding": "# coding: no-such-codec\nx = 1\n",
    "lone surrogate": "x = '\udc80'",
    "decorators": "@a\n" * 50_000 + "def f(): pass",
    "lambdas": "x = " + "lambda: " * 50_000 + "1",
    "many findings": "a\n" * 200_000,
    "long line": "x = '" + "a" * 900_000 + "'",
    "power": "x = 10 ** 10 ** 10 ** 10",
    "shift": "x = 1 << 10 ** 12",
    "repeat": "x = 'a' * 10 ** 12",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_python_source_gets_an_answer(agent: CodeAgent, name: str) -> None:
    output = await agent.run("code.check", {"source": HOSTILE[name]})
    assert len(output["findings"]) <= 300
    assert all(len(finding["message"]) <= 500 for finding in output["findings"])


async def test_more_findings_than_can_be_told_are_counted(agent: CodeAgent) -> None:
    output = await agent.run("code.check", {"source": "a\n" * 2000})
    assert len(output["findings"]) + output["more"] >= 2000
    assert output["ok"] is False


@pytest.mark.parametrize(
    "source",
    ["$(" * 20_000, "((" * 50_000, "{ " * 100_000, "if " * 50_000, "case x in " * 9999, "<<X " * 5000, "\0" * 99],
)
@pytest.mark.parametrize("shell", ["bash", "sh"])
async def test_a_hostile_shell_source_gets_an_answer(agent: CodeAgent, source: str, shell: str) -> None:
    output = await agent.run("code.check", {"source": f"#!/bin/{shell}\n{source}", "language": "shell"})
    assert output["checked"][0]["language"] == "shell"


@pytest.mark.parametrize(
    ("names", "said"),
    [(["a/b.py"], "not a file name"), (["a.py", "a.py"], "Two of the files"), ([".."], "not a file name")],
)
async def test_names_that_cannot_be_used_are_refused(agent: CodeAgent, names: list[str], said: str) -> None:
    problem = await agent.fails("code.check", {"files": names}, dict.fromkeys(names, b""))
    assert (problem.type, problem.retryable) == ("invalid", False)
    assert said in problem.detail
