"""A node in strangers' hands: whatever its agent answers, the step ends with a clear problem, and nothing else does."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from support.agents import ROOT
from support.hosts import Host, Hosts
from support.hosts.remote import PORT, environ, install
from support.mesh import Mesh
from support.runner import Caller, calling, echo, events_of
from support.taken_node import INJECTION, SECRET

MEMORY_MAX = 700 * 1024 * 1024


@pytest.fixture(scope="module")
def taken(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, IO[bytes]]]:
    """A host whose agent lies, and what it was told."""
    host, root = hosts.make(), tmp_path_factory.mktemp("taken")
    surroundings = environ(root)
    surroundings["PYTHONPATH"] += f":{ROOT / 'tests'}"
    with (root / "heard").open("w+b") as log:
        host.start(sys.executable, "-m", "support.taken_node", "--port", str(PORT), environ=surroundings, log=log)
        yield host, log


@pytest.fixture(scope="module")
def mesh(taken: tuple[Host, IO[bytes]]) -> Iterator[Mesh]:
    host, _ = taken
    with Mesh.temporary(control_module="support.json_fold", lease_ttl_s=2.0) as running:
        urls = json.loads(running.environ["CONCILIUM_RUNNER__AGENTS"])
        running.environ["CONCILIUM_RUNNER__AGENTS"] = json.dumps(urls | {"liar": f"http://{host.address}:{PORT}"})
        install("liar", running.root)
        running.start()
        yield running


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[Caller]:
    async with calling(mesh) as found:
        yield found


def lie(kind: str, **step: Any) -> dict[str, Any]:
    return {"name": "a", "skill": "liar.say", "input": {"lie": kind}, **step}


async def outcome(caller: Caller, kind: str, within_s: float = 60, **step: Any) -> tuple[Any, dict[str, Any]]:
    """Return the task that ends on a lie, and its step's problem."""
    task = await caller.ended(await caller.ask(lie(kind, **step), deadline_s=within_s))
    told = [e for e in await events_of(caller, task["id"]) if e["kind"] == "step" and e["state"] == "failed"]
    return task, told[-1]["problem"] if told else {}


async def test_an_agent_that_keeps_its_promise_is_believed(caller: Caller) -> None:
    task, _ = await outcome(caller, "truth")
    assert task["answer"]["outputs"] == {"a": {"text": "as promised"}}


@pytest.mark.parametrize(
    ("kind", "problem", "said"),
    [
        ("wrong-type", "output-invalid", "is not of type 'string'"),
        ("more", "output-invalid", "'admin' was unexpected"),
        ("too-long", "output-invalid", "is too long"),
        ("nothing", "output-invalid", "not of type 'object'"),
        ("large-output", "output-too-large", "4194304 bytes"),
        ("wrong-hash", "agent-answer-invalid", "does not match its stated sha256"),
        ("url", "agent-answer-invalid", "never fetched"),
        ("many-files", "agent-answer-too-large", "at most 64 artifacts"),
        ("no-json", "agent-answer-invalid", "not A2A"),
        ("deep", "agent-answer-invalid", "not A2A"),
        ("not-a2a", "agent-answer-invalid", "holds no event"),
        ("no-state", "agent-answer-invalid", "unspecified"),
        ("flood", "agent-answer-too-large", "more than 67108864 bytes"),
        ("elsewhere", "http-307", ""),
    ],
)
async def test_what_breaks_a_promise_fails_the_step_and_says_how(
    caller: Caller, kind: str, problem: str, said: str
) -> None:
    task, found = await outcome(caller, kind)
    assert task["state"] == "failed"
    assert found["type"] == problem
    assert said in found["detail"]


@pytest.mark.parametrize("kind", ["endless-progress", "endless-silence"])
async def test_an_answer_without_end_ends_at_the_deadline(caller: Caller, kind: str) -> None:
    task, found = await outcome(caller, kind, 5, deadline_s=1)
    assert task["state"] == "failed"
    assert found["type"] in {"agent-timeout", "deadline-exceeded"}


async def test_a_packed_answer_is_not_unpacked(mesh: Mesh, caller: Caller) -> None:
    task, found = await outcome(caller, "bomb", 5, deadline_s=1)
    assert (task["state"], bool(found)) == ("failed", True)
    assert psutil.Process(mesh.pid("runner")).memory_info().rss < MEMORY_MAX


async def test_instructions_in_an_answer_are_text_and_nothing_more(
    taken: tuple[Host, IO[bytes]], mesh: Mesh, caller: Caller
) -> None:
    before = len(mesh.executions())
    task, _ = await outcome(caller, "injection")
    assert task["answer"]["outputs"] == {"a": {"text": INJECTION}}
    for kind in ("injected-failure", "injected-problem"):
        task, found = await outcome(caller, kind)
        assert task["state"] == "failed"
        assert found["type"] == "agent-failed"
        assert found["detail"].startswith(INJECTION[:80])
        assert len(found["detail"]) <= 2000
        steps = {e["skill"] for e in await events_of(caller, task["id"]) if e["kind"] == "step"}
        assert steps == {"liar.say"}
    assert len(mesh.executions()) == before


@pytest.mark.parametrize("kind", ["path", "dots"])
def test_a_file_with_the_name_of_a_path_stays_a_file_of_its_task(mesh: Mesh, tmp_path: Path, kind: str) -> None:
    into = tmp_path / "deep" / "out"
    key = str(mesh.home.keys / "admin.key")
    wish = ("ask", json.dumps([lie(kind)]), "--out", str(into))
    command = (sys.executable, "-m", "concilium.cli", "--url", mesh.url, "--key-file", key, *wish)
    asked = subprocess.run(command, capture_output=True, text=True, check=False, env=mesh.environ, timeout=120)
    assert asked.returncode == 0, asked.stderr
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == SECRET]
    assert written.parent == into


async def test_a_run_that_claims_to_have_taken_for_ever_costs_what_it_took(caller: Caller) -> None:
    task, _ = await outcome(caller, "long-ago")
    assert task["state"] == "completed"
    (ended,) = [e for e in await events_of(caller, task["id"]) if e["kind"] == "step" and e["state"] == "completed"]
    assert ended["duration_s"] < 3600


async def test_other_tasks_go_on_beside_the_lies(mesh: Mesh, caller: Caller) -> None:
    lies = [
        await caller.ask(lie(kind, deadline_s=1), deadline_s=6)
        for kind in ("flood", "endless-progress", "deep", "bomb")
    ]
    honest = [await caller.ask(echo("b")) for _ in range(10)]
    for task in honest:
        assert (await caller.ended(task))["state"] == "completed"
        assert mesh.starts(f"{task}.b.1") == 1
    for task in lies:
        assert (await caller.ended(task))["state"] == "failed"
    assert "runner-error" not in mesh.log("runner")


async def test_a_stranger_hears_of_its_own_steps_alone(
    taken: tuple[Host, IO[bytes]], mesh: Mesh, caller: Caller
) -> None:
    await caller.ended(await caller.ask(lie("truth") | {"name": "z"}, echo("b")))
    _, log = taken
    log.seek(0)
    heard = [json.loads(line) for line in log.read().splitlines()]
    assert {call["skill"] for call in heard if "skill" in call} == {"liar.say"}
    assert all(call["asked"].split()[1].startswith("/a2a/") for call in heard if "asked" in call)
