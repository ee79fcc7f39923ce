"""An agent service on another host, with a home of its own there."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.agents import AGENTS, ROOT
from support.hosts.host import Host

PORT = 8410
START_S = 90.0


@dataclass
class RemoteAgent:
    """One agent of the probe agents, started by the command of a node."""

    name: str
    host: Host
    root: Path
    key: str
    """The mesh key."""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where home reaches it."""
        return f"http://{self.host.address}:{PORT}"

    def start(self, before: Sequence[str] = ()) -> None:
        """Start it, behind the command ``before``; return when it is ready."""
        (self.root / "keys").mkdir(parents=True, exist_ok=True)
        (self.root / "keys" / "mesh.key").write_text(self.key + "\n")
        install(self.name, self.root)
        command = (sys.executable, "-m", "concilium.workers", self.name, "--host", "0.0.0.0", "--port", str(PORT))
        with (self.root / "agent.log").open("ab") as log:
            self.process = self.host.start(*before, *command, environ=environ(self.root), log=log)
        end = time.monotonic() + START_S
        while not answers(self.url + "/ready"):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=20)
            self.process = None

    @property
    def log(self) -> str:
        return (self.root / "agent.log").read_text(errors="replace")

    def executions(self) -> list[dict[str, Any]]:
        """Return its own log of executions, ``start`` and ``end`` lines."""
        path = self.root / "agent-state" / self.name / "executions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def starts(self, task: str) -> list[str]:
        """Return the runs of a task that it has begun."""
        runs = [line["run_id"] for line in self.executions() if line["event"] == "start"]
        return [run for run in runs if run.startswith(f"{task}.")]

    def ends(self, task: str) -> list[str]:
        """Return the runs of a task that it has ended."""
        runs = [line["run_id"] for line in self.executions() if line["event"] != "start"]
        return [run for run in runs if run.startswith(f"{task}.")]


def install(agent: str, home: Path) -> None:
    """Put an agent of the tests into a home."""
    for folder in AGENTS:
        if (folder / agent).is_dir():
            shutil.copytree(folder / agent, home / "agents" / agent, dirs_exist_ok=True)


def environ(home: Path) -> dict[str, str]:
    """Return the environment of a program that lives in a home."""
    paths = os.pathsep.join(map(str, (ROOT / "services", *AGENTS)))
    return {**os.environ, "CONCILIUM_HOME": str(home), "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}


def answers(url: str) -> bool:
    """Whether a URL answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False
