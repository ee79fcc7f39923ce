"""The stack of docker-compose.yml under a project name of its own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from compose.base import CADDY
from compose.base import NAME as BASE
from concilium.cli.n8n.install import install
from support.docker import Docker
from support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "concilium-check"
FILES = ("docker-compose.yml", "tests/compose/check.yml")
SERVICES = (
    "database",
    "redis",
    "control",
    "runner",
    "links",
    "code",
    "vision",
    "tts",
    "document",
    "n8n",
    "caddy",
    "prometheus",
)
"""What stays up; `setup` ends by itself."""
HOME = "/var/lib/concilium"
N8N = "2.38.7"
CADDY_ADDRESS = "127.0.0.77"
"""A part of the loopback where nobody else has ports 80 and 443."""
BUILD_S = 3600
UP_S = 900
POLL_S = 0.5


@dataclass
class Stack:
    """One project: its containers, volumes and networks."""

    docker: Docker
    say: Callable[[str], None]
    port: int = field(default_factory=free_port)
    n8n_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def n8n_url(self) -> str:
        return f"http://127.0.0.1:{self.n8n_port}"

    @cached_property
    def key(self) -> str:
        """The owner's API key."""
        return self.read("control", f"{HOME}/keys/admin.key").strip()

    @cached_property
    def environ(self) -> dict[str, str]:
        n8n = install(N8N)
        return {
            **self.docker.environ,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_HTTP_TIMEOUT": "600",
            "COMPOSE_INTERACTIVE_NO_CLI": "1",
            "CHECK_BASE": BASE,
            "CHECK_CADDY": CADDY,
            "CADDY_ADDRESS": CADDY_ADDRESS,
            "CHECK_NODE": str(Path(n8n.node).parents[1]),
            "CHECK_N8N": str(Path(n8n.program).parents[3]),
            "CONTROL_PORT": str(self.port),
            "N8N_PORT": str(self.n8n_port),
            # The old client hands this one on to the daemon, which does not know it.
            "CODE_PROC": "no-new-privileges",
            # The receiver of callbacks is on the host, behind the gateway of a network made by Docker.
            "CALLBACKS_ALLOW": "n8n.localhost:5678/webhook-waiting/,172.16.0.0/12,192.168.0.0/16",
        }

    def compose(self, *words: str, timeout_s: float = UP_S) -> subprocess.CompletedProcess[str]:
        """Run a command of the Compose client."""
        files = [word for name in FILES for word in ("--file", name)]
        return subprocess.run(
            [*client(), *files, *words],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def build(self) -> None:
        """Build every image."""
        good(self.compose("build", "setup", *SERVICES, timeout_s=BUILD_S))

    def up(self) -> None:
        """Start everything; return when every service is healthy."""
        good(self.compose("up", "--detach", "--no-build", *SERVICES))
        self.wait_healthy()

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")

    def container(self, service: str) -> str:
        """Return the id of a service's container, also of one that has ended."""
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        ids = self.docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        assert len(ids) == 1, f"{service}: {ids}"
        return ids[0]

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the daemon knows of a service's container."""
        found: dict[str, Any] = json.loads(self.docker("inspect", self.container(service)))[0]
        return found

    def run(self, service: str, *words: str, given: bytes = b"", timeout_s: float = 120) -> tuple[int, str]:
        """Run a command in a service's container; return its status and what it printed."""
        done = self.docker.run(
            "exec", "--interactive", self.container(service), *words, given=given, timeout_s=timeout_s
        )
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    def read(self, service: str, path: str) -> str:
        """Return a file of a service's container."""
        status, text = self.run(service, "cat", path)
        assert status == 0, text
        return text

    def volume(self, name: str) -> Path:
        """Return where the daemon keeps a volume."""
        return Path(self.docker("volume", "inspect", "--format", "{{.Mountpoint}}", f"{PROJECT}_{name}"))

    def address(self, service: str, network: str) -> str:
        """Return a container's address in a network."""
        found: str = self.inspect(service)["NetworkSettings"]["Networks"][f"{PROJECT}_{network}"]["IPAddress"]
        return found

    def healthy(self, service: str) -> bool:
        state = self.inspect(service)["State"]
        return bool(state["Running"] and state.get("Health", {}).get("Status") == "healthy")

    def wait_healthy(self, services: Sequence[str] = SERVICES, within_s: float = UP_S) -> None:
        """Return when the services are healthy; raises AssertionError with the log of one that is not in time."""
        began, waiting, told = time.monotonic(), list(services), time.monotonic()
        while waiting:
            waiting = [service for service in waiting if not self.healthy(service)]
            now = time.monotonic()
            assert now - began < within_s, f"{waiting[0]} is not healthy:\n{self.log(waiting[0])}"
            if waiting and now - told > 15:
                told = now
                self.say(f"  {now - began:4.0f} s  waiting for {', '.join(waiting)}")
            time.sleep(POLL_S)

    def log(self, service: str, lines: int = 20) -> str:
        return self.docker("logs", "--tail", str(lines), self.container(service))


def client() -> list[str]:
    """Return the Compose client: the old one, which refuses more, where it is installed."""
    return ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]


def good(done: subprocess.CompletedProcess[str]) -> None:
    """Raise RuntimeError with what a command said when it failed."""
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, done.args[-3:]))} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def kill_main(pid: int) -> None:
    """End a container's first process as a crash would; `docker kill` would count as the owner's wish."""
    os.kill(pid, 9)
