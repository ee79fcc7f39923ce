"""What `code.test` says of tests, and that code cannot pass by anything but passing them."""

import asyncio
from typing import Any

import pytest

from integration.code.conftest import Sandboxed
from support.code_agent import CodeAgent

TESTS = """
import pytest
from solution import double

def test_two():
    assert double(2) == 4

def test_text():
    assert double("a") == "aa"
"""
RIGHT = "def double(x):\n    return x * 2\n"


def outcomes(output: Any) -> dict[str, str]:
    return {case["name"].rpartition("::")[2]: case["outcome"] for case in output["cases"]}


def counts(output: Any) -> tuple[int, int, int, int]:
    return output["passed"], output["failed"], output["errors"], output["skipped"]


async def test_it_works_on_every_rung(box: Sandboxed, agent: CodeAgent) -> None:
    held = agent.with_settings(rungs=[box.rung])
    output = await held.run("code.test", {"tests": TESTS, "code": RIGHT})
    assert output["sandbox"]["rung"] == box.rung
    assert (output["ok"], output["complete"], output["reason"], counts(output)) == (True, True, "", (2, 0, 0, 0))
    output = await held.run("code.test", {"tests": TESTS, "code": "def double(x):\n    return 4\n"})
    assert (output["ok"], output["complete"], counts(output)) == (False, True, (1, 1, 0, 0))
    output = await held.run("code.test", {"tests": TESTS, "code": "import os\nos._exit(0)\n"})
    assert (output["ok"], output["complete"], counts(output)) == (False, False, (0, 0, 0, 0))


async def test_each_outcome_is_told_with_its_reason(agent: CodeAgent) -> None:
    tests = """
import pytest
def test_passes(): pass
def test_fails():
    print("seen")
    assert [1, 2] == [1, 3]
@pytest.mark.skip(reason="not today")
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.fixture
def broken(): raise RuntimeError("no fixture")
def test_set_up(broken): pass
@pytest.fixture
def torn():
    yield
    raise RuntimeError("no end")
def test_torn_down(torn): pass
@pytest.mark.parametrize("n", [1, 2])
def test_each(n): assert n == 1
class TestGroup:
    def test_inside(self): raise KeyError("k")
"""
    output = await agent.run("code.test", {"tests": tests})
    assert outcomes(output) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skipped": "skipped",
        "test_expected": "skipped",
        "test_set_up": "error",
        "test_torn_down": "error",
        "test_each[1]": "passed",
        "test_each[2]": "failed",
        "test_inside": "failed",
    }
    messages = {case["name"].rpartition("::")[2]: case["message"] for case in output["cases"]}
    assert "[1, 2] == [1, 3]" in messages["test_fails"]
    assert "printed: seen" in messages["test_fails"]
    assert "not today" in messages["test_skipped"]
    assert "no fixture" in messages["test_set_up"]
    assert "no end" in messages["test_torn_down"]
    assert (counts(output), output["ok"], output["complete"]) == ((2, 3, 2, 2), False, True)


async def test_files_and_a_conftest_of_the_tests_are_used(agent: CodeAgent) -> None:
    files = {
        "test_a.py": b"import calc\ndef test_a(four): assert calc.half(four) == 2\n",
        "checks.py": b"def test_data(): assert open('data.txt').read() == 'x'\n",
        "conftest.py": b"import pytest\n@pytest.fixture\ndef four(): return 4\n",
        "calc.py": b"def half(x): return x // 2\n",
        "data.txt": b"x",
    }
    data = {"tests": ["test_a.py", "checks.py", "conftest.py"], "files": ["calc.py", "data.txt"]}
    output = await agent.run("code.test", data, files)
    assert (output["ok"], counts(output)) == (True, (2, 0, 0, 0)), output


FORGED = {
    "an exit while it is imported": "import sys\nsys.exit(0)",
    "an exit of the process": "import os\nos._exit(0)",
    "an exit in the call": "import os\ndef double(x): os._exit(0)",
    "pytest's own exit": "import pytest\ndef double(x): pytest.exit('done', 0)",
    "pytest's exit while it is imported": "import pytest\npytest.exit('done', 0)",
    "a skip": "import pytest\ndef double(x): pytest.skip('no')",
    "a skip while it is imported": "import pytest\npytest.skip('no', allow_module_level=True)",
    "a signal to itself": "import os, signal\ndef double(x): os.kill(os.getpid(), signal.SIGTERM)",
    "another program in its place": "import os\nos.execv('/bin/true', ['true'])",
    "a report of its own": """
import os
open(os.environ['OUT'] + '/junit.xml', 'w').write('<testsuite tests="2"/>')
os._exit(0)
""",
    "printed success": "print('2 passed in 0.01s')\nimport os\nos._exit(0)",
    "records without a seal": """
import json, os
for fd in range(1, 64):
    for n, record in enumerate([{"kind": "plan", "names": ["a"], "more": 0},
                                {"kind": "case", "name": "a", "outcome": "passed", "message": "", "duration_s": 0},
                                {"kind": "end", "status": 0}]):
        try: os.write(fd, f"\\n{'0' * 64} {n} {json.dumps(record)}\\n".encode())
        except OSError: pass
os._exit(0)
""",
    "a closed channel": "import os\nos.closerange(3, 256)\ndef double(x): return 0",
    "handlers at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef double(x): return 0",
    "a fork that lives on": "import os\nif os.fork(): os._exit(0)\ndef double(x): return x * 2",
    "a hook file": """
open('conftest.py', 'w').write('def pytest_collection_modifyitems(items): items.clear()')
def double(x): pass
""",
    "interrupts": "def double(x): raise KeyboardInterrupt",
    "a crash": "import ctypes\ndef double(x): ctypes.string_at(0)",
    "a deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef double(x): return double(x)",
    "memory": "def double(x):\n    a = []\n    while True: a.append(bytes(10_000_000))",
    "a loop that catches everything": """
def double(x):
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "a flood": "import os\ndef double(x):\n    while True: os.write(2, b'x' * 65536)",
    "no code": "",
    "a syntax error": "def double(:",
}


@pytest.mark.parametrize("name", FORGED)
async def test_code_that_does_not_pass_is_not_passed(agent: CodeAgent, name: str) -> None:
    quick = agent.with_settings(test_s=0.5, wall_s=8)
    output = await quick.run("code.test", {"tests": TESTS, "code": FORGED[name]})
    assert output["ok"] is False, output
    assert output["passed"] == 0, output
    assert output["complete"] or output["reason"], "an early end says why"


async def test_files_that_look_like_parts_of_the_tester_change_nothing(agent: CodeAgent) -> None:
    evil = b"raise SystemExit('shadowed')\n"
    names = ["pytest.py", "hmac.py", "json.py", "sitecustomize.py", "usercustomize.py", "_pytest.py", "tester.py"]
    configuration = {
        "pytest.ini": b"[pytest]\naddopts = --collect-only -p no:terminal\n",
        "pyproject.toml": b"[tool.pytest.ini_options]\naddopts = '--collect-only'\n",
        "tox.ini": b"[pytest]\naddopts = --co\n",
        "setup.cfg": b"[tool:pytest]\naddopts = --co\n",
    }
    files = {**dict.fromkeys(names, evil), **configuration}
    output = await agent.run(
        "code.test", {"tests": TESTS, "code": "def double(x): return 4", "files": list(files)}, files
    )
    assert (output["complete"], counts(output)) == (True, (1, 1, 0, 0)), output


async def test_records_without_a_seal_are_ignored_and_told(agent: CodeAgent) -> None:
    code = RIGHT + "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'junk\\n')\n    except OSError: pass\n"
    output = await agent.run("code.test", {"tests": TESTS, "code": code})
    assert (output["ok"], counts(output)) == (True, (2, 0, 0, 0))
    assert output["notes"]


async def test_a_test_without_end_fails_and_the_others_run(agent: CodeAgent) -> None:
    tests = "def test_loop():\n    while True: pass\ndef test_after(): pass\n"
    output = await agent.with_settings(test_s=0.5).run("code.test", {"tests": tests})
    assert outcomes(output) == {"test_loop": "failed", "test_after": "passed"}
    assert "longer than 0.5 s" in output["cases"][0]["message"]


async def test_a_run_that_a_limit_ends_names_it_and_the_test(agent: CodeAgent) -> None:
    tests = "import time\ndef test_before(): pass\ndef test_long(): time.sleep(60)\ndef test_after(): pass\n"
    output = await agent.run("code.test", {"tests": tests, "timeout_s": 2})
    assert (output["limit"], output["complete"], output["ok"]) == ("wall-time", False, False)
    assert outcomes(output) == {"test_before": "passed", "test_long": "error", "test_after": "error"}
    messages = [case["message"] for case in output["cases"]]
    assert "did not come to its end: the tests ran longer than 2 s" in messages[1]
    assert "was not run" in messages[2]


async def test_long_messages_and_many_tests_stay_within_bounds(agent: CodeAgent) -> None:
    tests = """
import pytest
@pytest.mark.parametrize("n", range(600))
def test_it(n):
    print("p" * 100_000)
    raise ValueError("m" * 100_000)
"""
    output = await agent.run("code.test", {"tests": tests})
    assert (output["complete"], output["failed"]) == (True, 600), output["reason"]
    assert all(len(case["message"]) < 2000 for case in output["cases"])


async def test_no_tests_is_no_success(agent: CodeAgent) -> None:
    output = await agent.run("code.test", {"tests": "x = 1\n"})
    assert (output["ok"], output["complete"], counts(output)) == (False, True, (0, 0, 0, 0))


async def test_odd_text_comes_through(agent: CodeAgent) -> None:
    tests = "def test_ошибка():\n    assert '\\0\\udc80 привет' == ''\n"
    output = await agent.run("code.test", {"tests": tests})
    assert list(outcomes(output).values()) == ["failed"]
    assert "привет" in output["cases"][0]["message"]


async def test_progress_is_told(agent: CodeAgent) -> None:
    await agent.run("code.test", {"tests": TESTS, "code": RIGHT})
    assert agent.told


async def test_cancellation_ends_the_run_at_once(agent: CodeAgent) -> None:
    running = asyncio.create_task(agent.run("code.test", {"tests": "import time\ndef test(): time.sleep(60)\n"}))
    await asyncio.wait({running}, timeout=1.5)  # long enough to be in the test, and short enough where it is not
    running.cancel()
    async with asyncio.timeout(2):
        await asyncio.wait({running})
    assert running.cancelled()


@pytest.mark.parametrize(
    ("data", "names", "said"),
    [
        ({"tests": ["notes.txt"]}, ["notes.txt"], "no name of a Python module"),
        ({"tests": ["test-a.py"]}, ["test-a.py"], "no name of a Python module"),
        ({"tests": ["conftest.py"]}, ["conftest.py"], "only conftest.py"),
        ({"tests": "def test(): pass", "files": ["conftest.py"]}, ["conftest.py"], "belongs to `tests`"),
        ({"tests": "def test(): pass", "code": "", "files": ["solution.py"]}, ["solution.py"], "Two of the files"),
        ({"tests": ["test_a.py"], "files": ["test_a.py"]}, ["test_a.py"], "Two of the files"),
        ({"tests": "def test(): pass", "files": ["a/b.py"]}, ["a/b.py"], "not a file name"),
        ({"tests": "def test(): pass", "files": ["x" * 300]}, ["x" * 300], "not a file name"),
    ],
)
async def test_input_that_cannot_be_run_is_refused(
    agent: CodeAgent, data: dict[str, Any], names: list[str], said: str
) -> None:
    problem = await agent.fails("code.test", data, dict.fromkeys(names, b""))
    assert (problem.type, problem.retryable) == ("invalid", False)
    assert said in problem.detail
