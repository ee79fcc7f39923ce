"""A foreign agent in a mesh of real processes: asked by its card, shown its own key, canceled, lost and found."""

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contract.subjects import FOREIGN
from support.mesh import GATEWAY, Mesh
from support.ports import free_port
from support.runner import Caller, calling, runs_of, until

KEY = "a-key-of-its-own"
LONG = "word " * 60


@dataclass
class Server:
    """The foreign agent's process."""

    root: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        key_file = self.root / "foreign.key"
        key_file.write_text(KEY)
        command = [sys.executable, str(FOREIGN / "server.py"), "--port", str(self.port), "--key-file", str(key_file)]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while not self._ready():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)
            self.process = None

    def states(self) -> list[str]:
        """Return the states of the tasks it knows."""
        headers = {"Authorization": f"Bearer {KEY}", "A2A-Version": "1.0"}
        with urllib.request.urlopen(urllib.request.Request(self.url + "/rest/tasks", headers=headers)) as answer:
            return [task["status"]["state"].removeprefix("TASK_STATE_") for task in json.load(answer)["tasks"]]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/ready", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("foreign"))
    found.start()
    yield found
    found.kill()


def add_to(mesh: Mesh, shown: str | None = KEY) -> None:
    """Write the foreign agent's manifest and key into a mesh's home."""
    shutil.copytree(FOREIGN, mesh.root / "agents" / "caesar")
    (mesh.root / "keys").mkdir(exist_ok=True)
    if shown is not None:
        (mesh.root / "keys" / "agent-caesar.key").write_text(shown + "\n")


def settings(server: Server) -> dict[str, str]:
    return {"CONCILIUM_RUNNER__AGENTS": json.dumps({"caesar": server.url})}


def encode(text: str, **data: Any) -> dict[str, Any]:
    return {"name": "e", "skill": "caesar.encode", "input": {"text": text, **data}}


@pytest.fixture(scope="module")
def mesh(server: Server) -> Iterator[Mesh]:
    """A mesh with the foreign agent alone, whose requests are their plans; leases are short."""
    options = {"control_module": "support.json_fold", "lease_ttl_s": 2.0, "agents": ()}
    with Mesh.temporary(settings=settings(server), **options) as running:
        add_to(running, f"Authorization: Bearer {KEY}")
        running.start()
        yield running


@pytest.fixture
async def caller(mesh: Mesh) -> AsyncIterator[Caller]:
    async with calling(mesh) as found:
        yield found


async def test_a_request_in_plain_words_reaches_the_foreign_agent(server: Server) -> None:
    with Mesh.temporary(control_module=GATEWAY, agents=("noop",)) as mesh:
        # The no-op agent is started at a port of its own: both stand in `runner.agents`.
        urls = json.loads(mesh.environ["CONCILIUM_RUNNER__AGENTS"]) | {"caesar": server.url}
        mesh.environ["CONCILIUM_RUNNER__AGENTS"] = json.dumps(urls)
        add_to(mesh)
        mesh.start()
        async with calling(mesh) as caller:
            made = await caller.call("POST", "/v1/ask", json={"text": "Caesar cipher: attack at dawn"})
            task = await caller.ended(made["id"])
        assert task["state"] == "completed", task
        assert list(task["answer"]["outputs"].values()) == [{"text": "dwwdfn dw gdzq"}]
        assert [entry["agent"] for entry in task["answer"]["provenance"]] == ["caesar"]


async def test_a_canceled_task_ends_the_run_at_the_foreign_agent(server: Server, mesh: Mesh, caller: Caller) -> None:
    before = server.states().count("CANCELED")
    task = await caller.ask(encode(LONG, pause_s=1))
    await until(lambda: "WORKING" in server.states(), mesh)
    await caller.call("POST", f"/v1/tasks/{task}/cancel", json={})
    await until(lambda: server.states().count("CANCELED") == before + 1, mesh)
    assert "WORKING" not in server.states()


async def test_the_runner_keeps_the_deadline_that_a_foreign_agent_does_not_know(
    server: Server, mesh: Mesh, caller: Caller
) -> None:
    task = await caller.ended(await caller.ask({**encode(LONG, pause_s=1), "deadline_s": 1.0}))
    assert task["state"] == "failed"
    await until(lambda: "WORKING" not in server.states(), mesh)
    (run,) = runs_of(await caller.call("GET", f"/v1/tasks/{task['id']}/steps"))
    assert run["problem"]["type"] == "deadline-exceeded"


async def test_a_step_without_outside_effects_is_sent_again_when_the_agent_forgot_it(
    server: Server, mesh: Mesh, caller: Caller
) -> None:
    task = await caller.ask(encode("one two three four", pause_s=0.5))
    await until(lambda: "WORKING" in server.states(), mesh)
    server.kill()
    server.start()
    done = await caller.ended(task)
    assert done["answer"]["outputs"]["e"] == {"text": "rqh wzr wkuhh irxu"}


async def test_a_step_with_outside_effects_is_not_repeated_unasked(server: Server, mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask({**encode("one two three four", pause_s=0.5), "title": "external"})
    await until(lambda: "WORKING" in server.states(), mesh)
    known = len(server.states())
    mesh.restart("runner", signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (found := await caller.task(task))["state"] != "input-required":
        assert time.monotonic() < deadline, found
    assert "outcome is unknown" in found["question"]
    assert len(server.states()) == known
