"""A whole small mesh as real processes in a home of its own: Redis, control plane, agents, runners.

    with Mesh.temporary() as mesh:
        mesh.start()
        mesh.kill("runner", signal.SIGKILL)
        mesh.restart("runner")

Nothing is restarted by itself: a test decides what dies and what comes back.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concilium.home import Home
from support.agents import AGENTS, ROOT
from support.ports import free_port
from support.redis import RedisServer

START_S = 90.0
STOP_S = 20.0
GATEWAY = "concilium.gateway"
"""The module that is the control plane. ``support.control_plane`` is one with a small fold in the brain's place."""


@dataclass
class Mesh:
    """The processes by name: ``redis``, ``control``, each agent, ``runner`` (and ``runner-2``, …)."""

    root: Path
    agents: Sequence[str] = ("noop",)
    control_module: str = GATEWAY
    ledger_url: str = ""
    """SQLite in the home when empty."""
    lease_ttl_s: float = 20.0
    settings: dict[str, str] = field(default_factory=dict)
    """More environment for every process, e.g. ``CONCILIUM_LOG__LEVEL``."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ports = {"control": free_port()}
        # Agents have consecutive ports; one base for all is free when the first is, near enough, so each is named.
        self._ports.update({agent: free_port() for agent in self.agents})
        urls = {agent: f"http://127.0.0.1:{self._ports[agent]}" for agent in self.agents}
        # What every process is started with; a test may change it between two starts.
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                map(str, (ROOT / "services", ROOT / "tests", *AGENTS, os.environ.get("PYTHONPATH", "")))
            ),
            "PYTHONUNBUFFERED": "1",
            "CONCILIUM_HOME": str(self.root),
            "CONCILIUM_GATEWAY__PORT": str(self._ports["control"]),
            "CONCILIUM_GATEWAY__RATE_PER_MINUTE": "1000000",
            "CONCILIUM_LEDGER__LEASE_TTL_S": str(self.lease_ttl_s),
            "CONCILIUM_AGENTS__START": json.dumps(list(self.agents)),
            "CONCILIUM_RUNNER__AGENTS": json.dumps(urls),
            **({"CONCILIUM_LEDGER__URL": self.ledger_url} if self.ledger_url else {}),
            **self.settings,
        }
        self.home = Home(self.root, {k: v for k, v in self.environ.items() if k.startswith("CONCILIUM_")})
        self._redis = RedisServer(self.home)

    @classmethod
    @contextlib.contextmanager
    def temporary(cls, **options: Any) -> Iterator["Mesh"]:
        """Yield a mesh in a short temporary folder; stop what still runs at the end."""
        with tempfile.TemporaryDirectory(prefix="mesh-", ignore_cleanup_errors=True) as folder:
            mesh = cls(Path(folder).resolve(), **options)
            try:
                yield mesh
            finally:
                mesh.stop()

    @property
    def url(self) -> str:
        """The control plane."""
        return f"http://127.0.0.1:{self._ports['control']}"

    @property
    def redis_url(self) -> str:
        return self._redis.url

    def start(self, *names: str) -> None:
        """Start these processes, all of them when none is named, in order; return when each is ready."""
        self._prepare()
        for name in names or ("redis", "control", *self.agents, "runner"):
            self._start(name)
        self._wait(names or ("redis", "control", *self.agents, "runner"))

    def kill(self, name: str, sig: int = signal.SIGKILL) -> None:
        """Send a signal; wait for the end unless it only stops or continues the process."""
        process = self.processes[name]
        process.send_signal(sig)
        if sig not in {signal.SIGSTOP, signal.SIGCONT}:
            process.wait(timeout=STOP_S)
            del self.processes[name]

    def restart(self, name: str, sig: int = signal.SIGKILL) -> None:
        """End a process if it runs, and start it again; return when it is ready."""
        if name in self.processes:
            self.kill(name, sig)
        self._start(name)
        self._wait((name,))

    def stop(self) -> None:
        """End everything: runners first, Redis last."""
        order = sorted(self.processes, key=lambda n: {"redis": 3, "control": 2}.get(n, 0 if "runner" in n else 1))
        for name in order:
            process = self.processes.pop(name)
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def pid(self, name: str) -> int:
        return self.processes[name].pid

    def log(self, name: str) -> str:
        """Return what a process has logged so far."""
        path = self.home.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def key(self, name: str = "admin") -> str:
        return self.home.secret(name)

    def executions(self, agent: str = "noop") -> list[dict[str, Any]]:
        """Return the agent's own log of executions, ``start`` and ``end`` lines."""
        path = self.home.agent_state(agent) / "executions.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def starts(self, run_id: str, agent: str = "noop") -> int:
        return sum(1 for line in self.executions(agent) if (line["event"], line["run_id"]) == ("start", run_id))

    def _prepare(self) -> None:
        for folder in (self.home.run, self.home.logs, self.home.keys):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for agent in self.agents:
            for source in AGENTS:
                if (source / agent).is_dir():
                    shutil.copytree(source / agent, self.root / "agents" / agent, dirs_exist_ok=True)
        for name, secret in (("mesh", "m" * 43), ("admin", "ck_" + "a" * 43), ("runner", "ck_" + "r" * 43)):
            path = self.home.keys / f"{name}.key"
            if not path.exists():
                path.touch(mode=0o600)
                path.write_text(secret + "\n")

    def _start(self, name: str) -> None:
        assert name not in self.processes, f"{name} runs"
        if name == "redis":
            self._redis.start()
            assert self._redis.process is not None
            self.processes[name] = self._redis.process
            return
        with (self.home.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *self._arguments(name)], env=self.environ, cwd=self.root, stdout=log, stderr=log
            )

    def _arguments(self, name: str) -> tuple[str, ...]:
        if name == "control":
            return ("-m", self.control_module)
        if name.startswith("runner"):
            return ("-m", "concilium.runner")
        return ("-m", "concilium.workers", name, "--port", str(self._ports[name]))

    def _wait(self, names: Sequence[str]) -> None:
        deadline = time.monotonic() + START_S
        for name in names:
            while not self._ready(name):
                assert self.processes[name].poll() is None, f"{name} ended:\n{self.log(name)[-4000:]}"
                assert time.monotonic() < deadline, f"{name} is not ready:\n{self.log(name)[-4000:]}"
                time.sleep(0.02)

    def _ready(self, name: str) -> bool:
        if name not in self._ports:
            # A runner says so itself; its log also holds what earlier ones said.
            return name == "redis" or f'"pid": {self.pid(name)}' in self.log(name)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name]}/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return False
