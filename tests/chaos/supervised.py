"""The mesh as its owner runs it: the supervisor of ``concilium up`` starts everything and restarts what ends."""

import json
import signal
import sys
import time
from dataclasses import dataclass

import psutil

from chaos.mesh import ChaosMesh
from concilium.cli import pidfile
from concilium.cli.processes import pid_file
from concilium.home import Home
from support.mesh import START_S
from support.ports import free_port

SUPERVISOR = "supervisor"


@dataclass
class SupervisedMesh(ChaosMesh):
    """``redis``, ``control``, the agents, ``runner`` under a ``supervisor``; only the last is started again by us."""

    runners: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        base = free_port()  # the agents listen from here on upwards; the ports above are free, near enough
        self._ports |= {agent: base + number for number, agent in enumerate(self.agents)}
        urls = {agent: f"http://127.0.0.1:{self._ports[agent]}" for agent in self.agents}
        self.environ["CONCILIUM_AGENTS__BASE_PORT"] = str(base)
        self.environ["CONCILIUM_RUNNER__AGENTS"] = json.dumps(urls)
        self.home = Home(self.root, {k: v for k, v in self.environ.items() if k.startswith("CONCILIUM_")})

    @property
    def names(self) -> tuple[str, ...]:
        return ("redis", *self.control_names, *self.agents, *self.runner_names)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The processes and who looks after them."""
        return (*self.names, SUPERVISOR)

    def start_all(self) -> None:
        self._prepare()
        self.launch(SUPERVISOR)
        end = time.monotonic() + START_S
        while not all(self._up(name) for name in self.names):
            assert time.monotonic() < end, f"not ready:\n{self.log(SUPERVISOR)[-4000:]}"
            time.sleep(0.1)

    def launch(self, name: str) -> None:
        """Start the supervisor; everything else is its business."""
        if name == SUPERVISOR:
            with self._lock:
                self._start(name)

    def end(self, name: str, sig: int = signal.SIGKILL) -> None:
        if name == SUPERVISOR:
            super().end(name, sig)
        else:
            self.signal(name, sig)

    def signal(self, name: str, sig: int) -> None:
        process = pidfile.living(pid_file(self.home, name))
        if process is not None:
            try:
                process.send_signal(sig)
            except psutil.NoSuchProcess:
                return

    def pid(self, name: str) -> int:
        recorded = pidfile.read(pid_file(self.home, name))
        return recorded.pid if recorded else 0

    def stop(self) -> None:
        """Kill everything, the supervisor first."""
        super().stop()
        for path in self.home.run.glob("*.pid"):
            pidfile.stop(path, 0.0)

    def _up(self, name: str) -> bool:
        return pidfile.living(pid_file(self.home, name)) is not None and self._ready(name)

    def _command(self, name: str) -> list[str]:
        assert name == SUPERVISOR, f"{name} is started by the supervisor"
        return [sys.executable, "-m", "concilium.cli.supervisor"]
