"""A mesh at home and machines that join it: each a home of its own, a process, and ports on loopback."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from concilium.cli import pidfile
from concilium.contracts.base import JSON
from concilium.contracts.nodes import Node
from support.command import CONCILIUM, Mesh
from support.ports import free_ports

WITHIN_S = 90.0
"""Seconds a busy machine may take for what needs a few."""
MANIFEST = """\
name: bell
description: Rings a bell, once the gate is open.
module: skills.py
slots: 4
skills:
  - name: bell.ring
    description: Rings the bell for somebody.
    tags: [ring, bell]
    input_schema:
      type: object
      properties: {text: {type: string}}
      required: [text]
      additionalProperties: false
    output_schema:
      type: object
      properties: {node: {type: string}}
      required: [node]
      additionalProperties: false
    effects: none
    deadline_s: 300
    examples: ["ring the bell for Anna", "позвони в колокол для Анны"]
"""
SKILLS = """\
import asyncio
import os
from pathlib import Path

from concilium.workers.runtime import OutFile, SkillResult


async def go(ctx, data):
    gate = Path(os.environ["GATES"]) / data["text"].split()[-1]
    while not gate.exists():
        await asyncio.sleep(0.05)
    where = os.environ["NODE"]
    return SkillResult({"node": where}, (OutFile("sound.bin", "application/octet-stream", where.encode() * 200_000),))


skills = {"bell.ring": go}
"""


def until(look: Callable[[], Any], what: str) -> Any:
    """Look again and again until the answer is true, and return it."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not so within {WITHIN_S:g} s: {what}")


@dataclass
class Rented:
    """A machine that joins."""

    name: str
    root: Path
    environ: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def join(self, *arguments: str) -> None:
        """Run ``concilium nodes join`` there."""
        with self.log.open("ab") as log:
            command = [CONCILIUM, "nodes", "join", *arguments]
            self.process = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)

    def refused(self) -> str:
        """Return what it said, once it has ended with an error."""
        assert self.process is not None
        assert self.process.wait(WITHIN_S) == 1, self.said
        return self.said

    @property
    def said(self) -> str:
        return self.log.read_text()

    def logged(self, name: str) -> str:
        path = self.root / "logs" / f"{name}.log"
        return path.read_text() if path.is_file() else ""

    def executions(self, run_id: str) -> list[str]:
        """Return what the agent wrote down of a run, or of all runs of a task: ``start``, ``end``, …"""
        path = self.root / "agent-state" / "bell" / "executions.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [line["event"] for line in map(json.loads, lines) if f"{line['run_id']}.".startswith(f"{run_id}.")]

    def kill(self, name: str) -> int:
        """Kill one of its processes, as a crash would; return its pid."""
        return kill(self.root, name)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(WITHIN_S)
            self.process = None
        # A killed supervisor leaves its processes behind.
        for path in (self.root / "run").glob("*.pid"):
            pidfile.stop(path, 5.0)


def kill(root: Path, name: str) -> int:
    """Kill a supervised process of a home; return its pid."""
    pid = int((root / "run" / f"{name}.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    return pid


@dataclass
class Landlord:
    """A mesh at home, without agents of its own, and what it rents."""

    mesh: Mesh
    url: str
    meeting: int
    """The port at which nodes that dial are met."""
    gates: Path
    folder: Path
    rented: list[Rented] = field(default_factory=list)

    def call(self, method: str, path: str, body: JSON = None, key: str = "admin") -> JSON:
        secret = (self.mesh.home / "keys" / f"{key}.key").read_text().strip()
        headers = {"Authorization": f"Bearer {secret}"}
        answer = httpx.request(method, self.url + path, json=body, headers=headers, timeout=60, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def invite(self, name: str, dial: str, **terms: JSON) -> tuple[str, str]:
        """Return a token, and the address the machine listens at when home dials."""
        address = f"127.0.0.1:{free_ports(1)}" if dial == "home" else f"127.0.0.1:{self.meeting}"
        body = {"name": name, "dial": dial, "address": address, "agents": ["bell"], **terms}
        return self.call("POST", "/v1/nodes", body)["token"], address

    def machine(self, name: str) -> Rented:
        """Return a machine that has nothing but the package and the agent's folder."""
        root = self.folder / name
        shutil.copytree(self.mesh.home / "agents", root / "agents")
        plain = {key: value for key, value in os.environ.items() if not key.startswith("CONCILIUM_")}
        own = {
            "CONCILIUM_HOME": str(root),
            "CONCILIUM_AGENTS__BASE_PORT": str(free_ports(1)),
            "GATES": str(self.gates),
            "NODE": name,
        }
        machine = Rented(name, root, plain | own, self.folder / f"{name}.log")
        self.rented.append(machine)
        return machine

    def rent(self, name: str, dial: str = "node", **terms: JSON) -> Rented:
        """Return a machine that has joined and works."""
        token, _ = self.invite(name, dial, **terms)
        machine = self.machine(name)
        machine.join(token)
        self.working(machine)
        return machine

    def node(self, name: str) -> Node:
        return Node.model_validate(self.call("GET", f"/v1/nodes/{name}"))

    def working(self, machine: Rented) -> None:
        """Wait until home has heard of a machine since now, and its runner takes work."""
        before = self.node(machine.name).last_seen_at

        def ready() -> bool:
            assert machine.process is None or machine.process.poll() is None, machine.said
            return self.node(machine.name).last_seen_at != before and "runner ready" in self.logged(
                f"runner-{machine.name}"
            )

        until(ready, f"{machine.name} works: {machine.said}")

    def clear(self) -> None:
        """Revoke every node and stop every machine."""
        for node in self.call("GET", "/v1/nodes")["nodes"]:
            self.call("DELETE", f"/v1/nodes/{node['name']}")
        for machine in self.rented:
            machine.stop()
        self.rented.clear()

    def logged(self, name: str) -> str:
        path = self.mesh.home / "logs" / f"{name}.log"
        return path.read_text() if path.is_file() else ""

    def submit(self, gate: str) -> str:
        """Ask for something that waits at a gate; return the task."""
        return str(self.call("POST", "/v1/ask", {"text": f"ring the bell for {gate}"})["id"])

    def open(self, gate: str) -> None:
        (self.gates / gate).touch()

    def runs(self, task: str) -> list[JSON]:
        found: list[JSON] = self.call("GET", f"/v1/tasks/{task}/steps")["steps"]
        return found

    def under_way(self, task: str, machine: Rented) -> str:
        """Wait until a machine's agent has begun a task's only step; return the run."""

        def begun() -> str:
            for run in self.runs(task):
                run_id = f"{task}.{run['step']}.{run['attempt']}"
                if run["node"] == machine.name and machine.executions(run_id) == ["start"]:
                    return run_id
            return ""

        return str(until(begun, f"{task} runs on {machine.name}"))

    def ended(self, task: str) -> JSON:
        """Wait until a task is over; return it."""
        over = {"completed", "failed", "canceled", "rejected", "input-required"}

        def look() -> JSON:
            found = self.call("GET", f"/v1/tasks/{task}")
            return found if found["state"] in over else None

        return until(look, f"{task} is over: {self.runs(task)}")


Kind = TypeVar("Kind", bound=Landlord)


@contextlib.contextmanager
def landlord(kind: type[Kind], meets_at: str = "127.0.0.1") -> Iterator[Kind]:
    """Yield a started mesh that meets nodes at an address; stop it and all that joined at the end."""
    with tempfile.TemporaryDirectory(prefix="rent-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        home, gates, first = folder / "home", folder / "gates", free_ports(2)
        gates.mkdir()
        agent = home / "agents" / "bell"
        agent.mkdir(parents=True)
        (agent / "agent.yaml").write_text(MANIFEST)
        (agent / "skills.py").write_text(SKILLS)
        plain = {key: value for key, value in os.environ.items() if not key.startswith("CONCILIUM_")}
        own = {
            "HOME": str(home),
            "GATEWAY__PORT": str(first),
            "AGENTS__START": "[]",
            "NODES__LISTEN": f"{meets_at}:{first + 1}",
            "LEDGER__LEASE_TTL_S": "4",
        }
        mesh = Mesh(home, plain | {f"CONCILIUM_{key}": value for key, value in own.items()})
        place = kind(mesh, f"http://127.0.0.1:{first}", first + 1, gates, folder)
        try:
            up = mesh.run("up")
            assert up.returncode == 0, up.stderr
            yield place
        finally:
            for machine in place.rented:
                machine.stop()
            mesh.run("down")
