"""Where an agent is tested: a service that runs, or one started for the test in a home of its own."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from concilium.cli import logfile
from concilium.cli.errors import USAGE, CliError
from concilium.contracts.skill import AgentManifest
from concilium.home import Home

START_S = 120.0
STOP_S = 10.0
POLL_S = 0.05


@dataclass(frozen=True)
class Service:
    """A running agent service."""

    url: str
    shown: Mapping[str, str]
    """The headers that show who calls."""


@contextmanager
def service(home: Home, agent: AgentManifest, url: str | None, key: str | None) -> Iterator[Service]:
    """Yield the service at ``url``, that of a foreign agent in ``runner.agents``, or one started now and then stopped.

    Args:
        home: the home whose agents, configuration and keys are used.
        agent: the agent.
        url: the base URL of a running service; None: see above.
        key: the bearer token to show it; None: what this home's runner shows.

    Raises:
        CliError: a foreign agent without a URL, or the service did not start.
    """
    # The runner's imports take half a second that no other command should wait for.
    from concilium.runner.endpoints import credentials  # noqa: PLC0415

    if agent.foreign:
        url = url or home.config.runner.agents.get(agent.name)
        if not url:
            raise CliError(
                f"agent '{agent.name}' runs elsewhere: its agent.yaml names no module",
                f"say where with --url, or in mesh.yaml: runner: {{agents: {{{agent.name}: http://…}}}}",
                code=USAGE,
            )
    if url:
        yield Service(url, {"Authorization": f"Bearer {key}"} if key else credentials(home, agent))
        return
    with tempfile.TemporaryDirectory(prefix="concilium-test-") as folder:
        yield from _started(home, agent.name, Path(folder))


def _started(home: Home, agent: str, scratch: Path) -> Iterator[Service]:
    """Start an agent with a state and a key of its own, so that a running mesh is not disturbed; stop it after."""
    key = _prepare(home, scratch)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = scratch / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter; the name is one of the catalog's
            [sys.executable, "-m", "concilium.workers", agent, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "CONCILIUM_HOME": str(scratch)},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_ready(process, url, log)
        yield Service(url, {"Authorization": f"Bearer {key}"})
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _prepare(home: Home, scratch: Path) -> str:
    """Give a scratch home this home's agents and configuration and a mesh key; return the key."""
    if home.agents.is_dir():
        (scratch / "agents").symlink_to(home.agents.resolve())
    own = home.root / "mesh.yaml"
    if own.is_file():
        (scratch / "mesh.yaml").write_bytes(own.read_bytes())
    (scratch / "keys").mkdir(mode=0o700)
    key = secrets.token_urlsafe(32)
    (scratch / "keys" / "mesh.key").write_text(key + "\n", encoding="ascii")
    return key


def _wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(url + "/ready", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise CliError("the agent did not start:\n" + "\n".join(f"  {line}" for line in logfile.tail(log, 15)))
        time.sleep(POLL_S)
