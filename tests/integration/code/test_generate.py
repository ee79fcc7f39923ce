"""What `code.generate` makes of an engine's answers: a real HTTP server says what each test tells it to."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiohttp import web

from integration.code.conftest import Sandboxed
from support.code_agent import CodeAgent
from support.engine import completion, running_engine

TESTS = """
from solution import double

def test_two():
    assert double(2) == 4

def test_text():
    assert double("a") == "aa"

def test_list():
    assert double([1]) == [1, 1]
"""
RIGHT = "def double(x):\n    return x * 2\n"
NEAR = "def double(x):\n    return x + x if x != [1] else 0\n"
FAR = "def double(x):\n    return 4\n"
BROKEN = "def double(:\n"
TASK = {"task": "Write double(x), which gives twice x.", "tests": TESTS}


def fenced(source: str) -> str:
    return f"Here it is:\n\n```python\n{source}```\n\nI hope that helps!"


def rounds(output: Any) -> list[tuple[str, int]]:
    return [(each["outcome"], each["passed"]) for each in output["rounds"]]


async def test_it_works_on_every_rung(box: Sandboxed, agent: CodeAgent) -> None:
    async with running_engine(fenced(RIGHT), free=True) as engine:
        held = agent.with_settings(rungs=[box.rung]).asking(engine.config())
        output = await held.run("code.generate", TASK)
    assert (output["source"], output["passed"], output["sandbox"]["rung"]) == (RIGHT, True, box.rung)


async def test_the_first_answer_that_passes_is_returned(agent: CodeAgent) -> None:
    async with running_engine(fenced(RIGHT), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", TASK)
    assert (output["source"], output["passed"], output["best_round"]) == (RIGHT, True, 1)
    assert rounds(output) == [("passed", 3)]
    assert (output["tests"]["ok"], output["model"], output["notes"]) == (True, "test-model", [])
    assert output["file"]["name"] == "solution.py"
    assert output["file"]["size"] == len(RIGHT)


async def test_failures_are_fed_back_until_the_tests_pass(agent: CodeAgent) -> None:
    async with running_engine(fenced(BROKEN), fenced(FAR), fenced(RIGHT), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", TASK)
        seen = engine.seen
    assert rounds(output) == [("failed", 0), ("failed", 1), ("passed", 3)]
    assert (output["passed"], output["best_round"]) == (True, 3)
    assert [[message["role"] for message in body["messages"]] for body in seen] == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
        ["system", "user", "assistant", "user"],
    ]
    first, second, third = (body["messages"] for body in seen)
    assert TASK["task"] in first[1]["content"]
    assert TESTS.strip() in first[1]["content"]
    assert "SyntaxError" in second[3]["content"]
    assert FAR in third[2]["content"]
    assert "1 of 3 tests passed" in third[3]["content"]
    assert "test_text: failed" in third[3]["content"]


async def test_the_best_attempt_is_kept_when_none_passes(agent: CodeAgent) -> None:
    async with running_engine(fenced(FAR), fenced(NEAR), fenced(BROKEN), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", TASK)
    assert rounds(output) == [("failed", 1), ("failed", 2), ("failed", 0)]
    assert (output["passed"], output["best_round"], output["source"]) == (False, 2, NEAR)
    assert output["tests"]["passed"] == 2
    assert "passed most" in output["notes"][0]


async def test_no_more_rounds_than_asked_for(agent: CodeAgent) -> None:
    async with running_engine(fenced(FAR), fenced(RIGHT), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", {**TASK, "rounds": 1})
        assert len(engine.seen) == 1
    assert (output["passed"], output["source"]) == (False, FAR)


async def test_an_engine_that_repeats_itself_is_not_asked_again(agent: CodeAgent) -> None:
    async with running_engine(fenced(FAR), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", {**TASK, "rounds": 8})
        assert len(engine.seen) == 2
    assert rounds(output) == [("failed", 1), ("repeated", 1)]
    assert (output["best_round"], output["passed"]) == (1, False)
    assert any("again" in note for note in output["notes"])


async def test_the_same_request_always_says_the_same_to_the_engine(agent: CodeAgent) -> None:
    tests = "import solution\ndef test(): assert solution.make() is object()\ndef test_path(): open('none')\n"
    first, second = [], []
    for bodies in (first, second):
        async with running_engine(fenced("def make(): return object()\n"), fenced(RIGHT), free=True) as engine:
            await agent.asking(engine.config()).run("code.generate", {"task": "t", "tests": tests, "rounds": 2})
            bodies.extend(engine.seen)
    assert json.dumps(first) == json.dumps(second)
    assert "0x…" in first[1]["messages"][3]["content"]


async def test_without_tests_it_is_checked_but_not_run(agent: CodeAgent) -> None:
    async with running_engine(fenced("x = undefined_name\n"), fenced("print('never run')\n"), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", {"task": "print something"})
        assert "undefined_name" in engine.seen[1]["messages"][3]["content"]
    assert [each["outcome"] for each in output["rounds"]] == ["failed", "passed"]
    assert (output["passed"], output["tests"], output["source"]) == (None, None, "print('never run')\n")
    assert "not run" in output["notes"][0]


async def test_files_are_shown_and_can_be_used(agent: CodeAgent) -> None:
    files = {"prices.csv": b"a,1\nb,2\n", "photo.bin": b"\xff\x00\xfe", "helper.py": b"SCALE = 3\n"}
    source = (
        "import helper\ndef total():\n    return helper.SCALE * sum(int(l.split(',')[1]) for l in open('prices.csv'))\n"
    )
    tests = "from prices import total\ndef test_total(): assert total() == 9\n"
    async with running_engine(fenced(source), free=True) as engine:
        data = {"task": "sum prices", "tests": tests, "files": list(files)}
        output = await agent.asking(engine.config()).run("code.generate", data, files)
        shown = engine.seen[0]["messages"][1]["content"]
    assert output["passed"] is True, output
    assert output["file"]["name"] == "prices.py"
    assert "a,1\nb,2" in shown
    assert "photo.bin (3 bytes, not text)" in shown
    assert "SCALE = 3" in shown


async def test_what_the_engine_writes_runs_only_in_the_sandbox(agent: CodeAgent) -> None:
    source = """
import os, socket
open("/etc/concilium-was-here", "w")
def double(x): return x * 2
"""
    async with running_engine(fenced(source), free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", {**TASK, "rounds": 1})
    assert output["passed"] is False
    assert "Read-only file system" in str(output["tests"]) or "Permission denied" in str(output["tests"])


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I cannot do that.\n```\n```\n",
        "```json\n{}\n```",
        "```python\n" + "x = 1\n" * 60_000 + "```",
        "<think>forever and a day",
    ],
)
async def test_answers_without_source_end_as_no_code(agent: CodeAgent, answer: str) -> None:
    async with running_engine(answer, free=True) as engine:
        problem = await agent.asking(engine.config()).fails("code.generate", {**TASK, "rounds": 2})
        assert len(engine.seen) == 2
    assert (problem.type, problem.retryable) == ("no-code", False)


async def test_without_an_engine_it_says_which_setting_is_missing(agent: CodeAgent) -> None:
    problem = await agent.fails("code.generate", TASK)
    assert (problem.type, problem.retryable) == ("no-engine", False)
    assert "engine.url" in problem.detail


async def _refuse(status: int) -> web.Response:
    return web.json_response({"error": {"code": "context_length_exceeded", "message": "secret"}}, status=status)


async def _full(_: web.Request) -> web.StreamResponse:
    return await _refuse(400)


async def _overloaded(_: web.Request) -> web.StreamResponse:
    return await _refuse(503)


async def _no_chat(_: web.Request) -> web.StreamResponse:
    return web.json_response({"hello": "world"})


async def _no_text(_: web.Request) -> web.StreamResponse:
    return completion(None)


async def _never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("reply", "kind", "retryable"),
    [
        (_full, "engine-refused", False),
        (_overloaded, "engine-refused", True),
        (_no_chat, "engine-garbage", True),
        (_no_text, "engine-garbage", True),
        (_never, "engine-timeout", True),
    ],
)
async def test_an_engines_failure_is_told(agent: CodeAgent, reply: Any, kind: str, retryable: bool) -> None:
    async with running_engine(reply, free=True) as engine:
        problem = await agent.asking(engine.config(timeout_s=0.5)).fails("code.generate", TASK)
    assert (problem.type, problem.retryable) == (kind, retryable)
    assert "secret" not in problem.detail


async def test_an_engine_that_is_away_is_worth_another_try(agent: CodeAgent) -> None:
    async with running_engine(free=True) as engine:
        config = engine.config()
    problem = await agent.asking(config).fails("code.generate", TASK)
    assert (problem.type, problem.retryable) == ("engine-unreachable", True)


async def test_a_failure_in_a_later_round_keeps_what_there_is(agent: CodeAgent) -> None:
    async with running_engine(fenced(NEAR), _overloaded, free=True) as engine:
        output = await agent.asking(engine.config()).run("code.generate", TASK)
    assert (output["source"], output["passed"], rounds(output)) == (NEAR, False, [("failed", 2)])
    assert any("round 2 was given up" in note for note in output["notes"])


async def test_the_deadline_hands_over_the_best_attempt(agent: CodeAgent) -> None:
    async with running_engine(fenced(NEAR), _never, free=True) as engine:
        began = time.monotonic()
        output = await agent.asking(engine.config(), deadline_at=began + 11).run("code.generate", {**TASK, "rounds": 8})
        assert time.monotonic() - began < 11
    assert (output["source"], output["passed"]) == (NEAR, False)
    assert any("deadline" in note for note in output["notes"])


async def test_a_deadline_before_any_code_is_a_failure(agent: CodeAgent) -> None:
    async with running_engine(_never, free=True) as engine:
        held = agent.asking(engine.config(), deadline_at=time.monotonic() + 4)
        problem = await held.fails("code.generate", TASK)
    assert problem.type == "deadline-exceeded"


async def test_each_round_is_told(agent: CodeAgent) -> None:
    async with running_engine(fenced(FAR), fenced(RIGHT), free=True) as engine:
        await agent.asking(engine.config()).run("code.generate", TASK)
    fractions = [fraction for fraction, _ in agent.told if fraction is not None]
    assert fractions == sorted(fractions)
    messages = [message for _, message in agent.told]
    assert "round 1 of 3: 1 tests passed, 2 did not" in messages
    assert "round 2 of 3: 3 tests passed, 0 did not" in messages


async def test_cancellation_leaves_the_engine_alone(agent: CodeAgent) -> None:
    async with running_engine(_never, free=True) as engine:
        running = asyncio.create_task(agent.asking(engine.config()).run("code.generate", TASK))
        async with asyncio.timeout(20):
            await asyncio.wait({running}, timeout=1.5)
        running.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait({running})
    assert running.cancelled()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"task": " \n "}, "task is empty"),
        ({**TASK, "module": "other"}, "No test imports 'other'"),
        ({**TASK, "files": ["solution.py"]}, "Two of the files"),
        ({**TASK, "files": ["test_solution.py"]}, "Two of the files"),
        ({**TASK, "files": ["conftest.py"]}, "belongs to `tests`"),
        ({**TASK, "files": [".."]}, "not a file name"),
        ({"task": "t", "tests": ["notes.txt"]}, "no name of a Python module"),
    ],
)
async def test_input_that_cannot_be_used_is_refused_before_the_engine_is_asked(
    agent: CodeAgent, data: dict[str, Any], said: str
) -> None:
    named = [*data.get("files", []), *(data["tests"] if isinstance(data.get("tests"), list) else [])]
    async with running_engine(fenced(RIGHT), free=True) as engine:
        problem = await agent.asking(engine.config()).fails("code.generate", data, dict.fromkeys(named, b""))
        assert engine.seen == []
    assert (problem.type, problem.retryable) == ("invalid", False)
    assert said in problem.detail
