"""``code.generate`` with a real model behind a real server: write, test, feed the failure back, write again.

The model is small, trained by the project, and knows the exercises of `code_lessons` by heart; nothing here measures
how well a large model writes. It proves that the rounds work with a model that really decodes what it is sent, and that
it is the failed tests that make it change its answer.
"""

import signal
from typing import Any

import pytest

from concilium.contracts.a2a.reader import Final
from concilium.contracts.states import TaskState
from support.agents import Agent, Peer, lease
from support.served_models.code_lessons import LEAP, MEDIAN, STUBBORN, Exercise
from support.served_models.server import ModelServer

pytestmark = pytest.mark.timeout(900)
"""The first test of a session waits until the models are there and the server has imported PyTorch."""

AGENT, SECTION, SERVER = "code", "engine", "code_server"


async def generate(peer: Peer, agent: Agent, exercise: Exercise, **more: Any) -> Final:
    asked = {"task": exercise.task, "tests": exercise.tests, **more}
    return await peer.run(agent, lease(agent, "code.generate", asked, deadline_s=100.0))


@pytest.mark.parametrize("exercise", [LEAP, MEDIAN], ids=["leap", "median"])
async def test_the_first_module_fails_the_tests_and_the_second_passes_them(
    asks: Agent, peer: Peer, exercise: Exercise
) -> None:
    found = await generate(peer, asks, exercise)
    assert found.state is TaskState.COMPLETED, found.problem
    output = found.output
    outcomes = [(one["outcome"], one["failed"]) for one in output["rounds"]]
    assert outcomes == [("failed", 1), ("passed", 0)], output["rounds"]
    assert (output["source"], output["passed"], output["best_round"]) == (exercise.sources[1], True, 2)
    assert output["model"] == "tiny-code"
    ((ref, content),) = found.files
    assert (ref.name, content.decode()) == ("solution.py", exercise.sources[1])


async def test_one_round_hands_over_what_failed_and_says_so(asks: Agent, peer: Peer) -> None:
    found = await generate(peer, asks, MEDIAN, rounds=1)
    assert found.state is TaskState.COMPLETED, found.problem
    output = found.output
    assert (output["source"], output["passed"], output["tests"]["passed"]) == (MEDIAN.sources[0], False, 1)
    assert any("no attempt passed" in note for note in output["notes"])


async def test_the_best_attempt_is_kept_when_later_ones_are_worse(asks: Agent, peer: Peer) -> None:
    found = await generate(peer, asks, STUBBORN)
    assert found.state is TaskState.COMPLETED, found.problem
    output = found.output
    assert [(one["outcome"], one["passed"]) for one in output["rounds"]] == [
        ("failed", 2),
        ("failed", 1),
        ("repeated", 2),
    ]
    assert (output["source"], output["passed"], output["best_round"]) == (STUBBORN.sources[0], False, 1)


async def test_a_killed_server_is_a_failure_worth_trying_again(asks: Agent, peer: Peer, served: ModelServer) -> None:
    served.stop(signal.SIGKILL)
    found = await generate(peer, asks, LEAP)
    assert found.state is TaskState.FAILED
    assert found.problem is not None
    assert (found.problem.type, found.problem.retryable) == ("engine-unreachable", True)
