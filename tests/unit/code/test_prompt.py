"""What the engine is told: bounded, and the same for the same."""

from typing import Any

from concilium.workers.code.prompt import Asked, first_messages, next_messages, suite_result
from concilium.workers.code.sandbox.job import File


def asked(**values: Any) -> Asked:
    return Asked(**{"task": "t", "module": "solution.py", "tests": (), "files": (), "rounds": 3, **values})


def verdict(cases: list[dict[str, Any]], reason: str = "") -> dict[str, Any]:
    failed = sum(case["outcome"] == "failed" for case in cases)
    return {"cases": cases, "passed": len(cases) - failed, "failed": failed, "errors": 0, "reason": reason}


def case(name: str, message: str = "", outcome: str = "failed") -> dict[str, Any]:
    return {"name": name, "outcome": outcome, "message": message, "duration_s": 0.0}


def test_a_bare_task_is_one_short_message() -> None:
    system, user = first_messages(asked(task="add numbers\n"), "3.11.2", [])
    assert user == {"role": "user", "content": "Write solution.py.\n\nTask:\nadd numbers"}
    assert "Python 3.11 module" in system["content"]
    assert "standard library;" in system["content"]
    assert len(system["content"]) < 500


def test_packages_are_named() -> None:
    assert "standard library, numpy, attrs;" in first_messages(asked(), "3.11.2", ["numpy", "attrs"])[0]["content"]


def test_files_and_tests_are_bounded() -> None:
    files = tuple(File(f"f{n}.txt", b"x" * 100_000) for n in range(20))
    tests = (File("test_solution.py", b"y" * 1_000_000),)
    content = str(first_messages(asked(files=files, tests=tests), "3.11.2", [])[1]["content"])
    assert len(content) < 40_000
    assert "f0.txt (the first 4000 of 100000 characters)" in content
    assert "f19.txt (the first 0 of 100000 characters)" in content


def test_a_later_round_holds_the_last_answer_alone() -> None:
    first = first_messages(asked(), "3.11.2", [])
    later = next_messages(first, "x = 1\n", "0 of 1 tests passed.")
    assert [message["role"] for message in later] == ["system", "user", "assistant", "user"]
    assert later[2]["content"] == "```python\nx = 1\n```"
    assert str(later[3]["content"]).startswith("0 of 1 tests passed.")


def test_failures_are_bounded_and_steady() -> None:
    cases = [
        case(f"t{n}", f"at 0x7f00deadbeef in /tmp/concilium-run-abc/work/solution.py {'m' * 5000}") for n in range(9)
    ]
    told = suite_result(verdict([*cases, case("ok", outcome="passed")]))
    assert told.startswith("1 of 10 tests passed.")
    assert "at 0x… in solution.py" in told
    assert "4 more failed." in told
    assert len(told) < 7000


def test_an_early_end_is_told() -> None:
    assert "not complete: the tests ran longer than 5 s." in suite_result(verdict([], "the tests ran longer than 5 s"))
