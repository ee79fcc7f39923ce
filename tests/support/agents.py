"""Real agent services on loopback, and a mesh peer that calls them as the runner does."""

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from concilium.contracts.a2a import errors, parts, reader, step
from concilium.contracts.runner import Lease
from concilium.contracts.skill import Effects
from concilium.contracts.task import DataClass, Priority, Problem
from support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
AGENTS = (ROOT / "benchmarks" / "agents", Path(__file__).parent / "probe_agents")
KEY = "mesh-key-of-the-tests"
_task = itertools.count(1)


@dataclass
class Agent:
    """A running agent service."""

    name: str
    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.home / f"{self.name}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        return self.home / "agent-state" / self.name

    def start(self) -> None:
        paths = os.pathsep.join(map(str, (ROOT / "services", *AGENTS)))
        environ = {**os.environ, "CONCILIUM_HOME": str(self.home), "PYTHONPATH": paths}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "concilium.workers", self.name, "--port", str(self.port)]
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        self._wait_ready()

    def stop(self, sig: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(timeout=20)
            self.process = None

    def executions(self) -> list[dict[str, Any]]:
        lines = (self.state / "executions.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def starts(self, run_id: str) -> int:
        return sum(1 for line in self.executions() if line["event"] == "start" and line["run_id"] == run_id)

    def _wait_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with urllib.request.urlopen(self.url + "/ready", timeout=5):
                    return
            except urllib.error.HTTPError as error:
                error.close()
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready: {self.log.read_text()}")


def make_agent(name: str, home: Path) -> Agent:
    for folder in AGENTS:
        if (folder / name).is_dir():
            shutil.copytree(folder / name, home / "agents" / name)
    (home / "keys").mkdir(parents=True, exist_ok=True)
    (home / "keys" / "mesh.key").write_text(KEY + "\n")
    return Agent(name, home, free_port())


@dataclass
class Refused(Exception):
    """The agent refused with an HTTP error."""

    status: int
    problem: Problem


def lease(agent: Agent, skill: str, data: dict[str, Any], **terms: Any) -> Lease:
    """Return a lease of a new task, changed by ``terms``."""
    base: dict[str, Any] = {
        "task_id": f"tsk_{next(_task)}",
        "step": "only",
        "attempt": 1,
        "fence": 1,
        "deadline_s": 20.0,
        "agent": agent.name,
        "skill": skill,
        "effects": Effects.NONE,
        "input": data,
        "context_id": "ctx_test",
        "hops": 8,
        "priority": Priority.NORMAL,
        "data_class": DataClass.INTERNAL,
        "traceparent": "",
    }
    return Lease.model_validate({**base, **terms})


@dataclass
class Peer:
    """A mesh peer: it holds the mesh key and speaks the step extension."""

    session: aiohttp.ClientSession

    async def stream(
        self, agent: Agent, step_lease: Lease, files: Mapping[str, bytes] | None = None
    ) -> AsyncIterator[reader.StreamItem]:
        """Send a lease's step and yield what the agent says. Raises `Refused`."""
        body = step.to_json(step.step_request(step_lease, files or {}))
        async for item in self.post(agent, body):
            yield item

    async def post(self, agent: Agent, body: bytes) -> AsyncIterator[reader.StreamItem]:
        answers = reader.StreamReader()
        async with self.session.post(
            f"{agent.url}/a2a/message:stream", data=io.BytesIO(body), headers=headers()
        ) as response:
            if response.status != 200:
                raise Refused(response.status, errors.read_error(response.status, await response.read()))
            async for line in response.content:
                if line.startswith(b"data:"):
                    for item in answers.feed(line[5:]):
                        yield item

    async def run(self, agent: Agent, step_lease: Lease, files: Mapping[str, bytes] | None = None) -> reader.Final:
        """Send a lease's step and return its end."""
        async for item in self.stream(agent, step_lease, files):
            if isinstance(item, reader.Final):
                return item
        raise AssertionError("the stream ended without a final state")

    async def cancel(self, agent: Agent, run_id: str) -> int:
        async with self.session.post(f"{agent.url}/a2a/tasks/{run_id}:cancel", headers=headers()) as response:
            return response.status


def headers() -> dict[str, str]:
    return {**step.HEADERS, "Authorization": f"Bearer {KEY}"}


def file_of(data: bytes, name: str = "a.bin") -> dict[str, Any]:
    return parts.file_ref(name, "application/octet-stream", data).model_dump(mode="json")
