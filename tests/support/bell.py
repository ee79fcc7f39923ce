"""A mesh with one slow agent that makes files, and callers who keep it busy."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.command import Mesh
from support.ports import free_ports

AGENT = """\
name: bell
description: Rings a bell and writes down who asked for it.
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
      properties: {text: {type: string}}
      required: [text]
      additionalProperties: false
    effects: none
    deadline_s: 60
    examples:
      - "ring the bell for Anna"
      - "позвони в колокол для Анны"
"""
SKILLS = """\
import asyncio

from concilium.workers.runtime import OutFile, SkillResult


async def ring(ctx, data):
    await asyncio.sleep(0.3)
    sound = (data["text"] + "\\n").encode() * 20_000
    return SkillResult({"text": data["text"]}, (OutFile("sound.txt", "text/plain", sound),))


skills = {"bell.ring": ring}
"""
WITHIN_S = 200.0
"""Seconds a busy machine may take for what needs two."""


@dataclass
class Bell:
    """A home with the agent, its command, and its API."""

    mesh: Mesh
    url: str

    @property
    def home(self) -> Path:
        return self.mesh.home

    def client(self, key: str | None = None) -> httpx.Client:
        """Return a client with a key, by default the owner's."""
        secret = key or (self.home / "keys" / "admin.key").read_text().strip()
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60, trust_env=False
        )

    def submit(self, name: str, key: str = "") -> str:
        """Hand over one request under an idempotency key, by default the name; return its task."""
        with self.client() as client:
            answer = client.post(
                "/v1/ask",
                json={"text": f"ring the bell for {name}"},
                headers={"Idempotency-Key": (key or name).replace(" ", "-")},
            )
            assert answer.status_code in {200, 202}, answer.text
            return str(answer.json()["id"])

    def tasks(self) -> dict[str, str]:
        """Return every task's state."""
        with self.client() as client:
            tasks: dict[str, str] = {}
            page = [""]
            while page:
                before = {"before": min(tasks)} if tasks else {}
                found = client.get("/v1/tasks", params={"limit": 200, **before})
                assert found.status_code == 200, found.text
                page = [task["id"] for task in found.json()["tasks"]]
                tasks |= {task["id"]: task["state"] for task in found.json()["tasks"]}
            return tasks

    def until(self, done: Any) -> dict[str, str]:
        """Return the tasks once ``done(tasks)`` says so."""
        end = time.monotonic() + WITHIN_S
        while not done(tasks := self.tasks()):
            assert not {"input-required", "failed"} & set(tasks.values()), Counter(tasks.values())
            assert time.monotonic() < end, Counter(tasks.values())
            time.sleep(0.1)
        return tasks

    def history(self, task: str) -> list[dict[str, Any]]:
        """Return the bodies of a task's events."""
        with self.client() as client:
            found = client.get(f"/v1/tasks/{task}/events", headers={"Accept": "application/json"})
        assert found.status_code == 200, found.text
        return [event["body"] for event in found.json()]

    def sound(self, task: str) -> bytes:
        """Return the file a task made."""
        with self.client() as client:
            shown = client.get(f"/v1/tasks/{task}").json()
            files = [part["file"] for one in shown["artifacts"] for part in one["parts"] if "file" in part]
            return client.get(f"/v1/tasks/{task}/files/{files[0]['sha256']}").content


def completed(tasks: dict[str, str]) -> int:
    """Count the completed tasks."""
    return sum(state == "completed" for state in tasks.values())


def all_completed(tasks: dict[str, str]) -> bool:
    """Whether every task is completed."""
    return completed(tasks) == len(tasks)


@contextmanager
def bell_mesh(home: Path, **settings: str) -> Iterator[Bell]:
    """Yield a mesh that is not started yet; stop it at the end."""
    first = free_ports(2)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CONCILIUM_")}
    own = {
        "HOME": str(home),
        "GATEWAY__PORT": str(first),
        "AGENTS__BASE_PORT": str(first + 1),
        "AGENTS__START": "[bell]",
        "LEDGER__LEASE_TTL_S": "3",
    } | settings
    bell = Bell(
        Mesh(home, plain | {f"CONCILIUM_{name}": value for name, value in own.items()}), f"http://127.0.0.1:{first}"
    )
    folder = home / "agents" / "bell"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text(AGENT)
    (folder / "skills.py").write_text(SKILLS)
    try:
        yield bell
    finally:
        bell.mesh.run("down")
