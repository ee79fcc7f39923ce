"""A real control plane in its own process, with the small fold of `support.fold` in the brain's place.

Run as a module it is that process; imported it starts, kills and asks one.
"""

import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from concilium.contracts.base import JSON
from concilium.contracts.runner import ClaimReply, Completion, Lease
from concilium.home import Home

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class ControlPlane:
    """A control plane over a home of its own."""

    home: Path
    port: int
    settings: dict[str, str]
    """Environment overrides of the configuration."""
    module: str = "support.control_plane"
    """`concilium.gateway` for the brain's own fold."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / "gateway.log"

    def key(self, name: str = "admin") -> str:
        return (self.home / "keys" / f"{name}.key").read_text().strip()

    def start(self, until: str = "/ready") -> None:
        """Start it; return when that path answers 200."""
        self.home.mkdir(parents=True, exist_ok=True)
        paths = os.pathsep.join((str(ROOT / "services"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))
        environ = {
            **os.environ,
            "CONCILIUM_HOME": str(self.home),
            "CONCILIUM_GATEWAY__PORT": str(self.port),
            "PYTHONPATH": paths,
            **self.settings,
        }
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", self.module]
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        self._wait(until)

    def stop(self, sig: int = signal.SIGTERM) -> float:
        """Stop it; return how many seconds that took."""
        began = time.monotonic()
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(timeout=20)
            self.process = None
        return time.monotonic() - began

    def _wait(self, until: str) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with urllib.request.urlopen(self.url + until, timeout=5):
                    return
            except urllib.error.HTTPError as error:
                error.close()
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready: {self.log.read_text()}")


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any

    @property
    def problem(self) -> str:
        """The slug of the problem; fails unless the answer is a problem document."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("https://concilium.dev/problems/")


@dataclass
class Client:
    """Somebody with an API key."""

    session: aiohttp.ClientSession
    plane: ControlPlane
    secret: str

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def call(self, method: str, path: str, **kwargs: Any) -> Reply:
        headers = {**self.auth, **kwargs.pop("headers", {})}
        async with self.session.request(method, self.plane.url + path, headers=headers, **kwargs) as answer:
            body = await answer.read()
            is_json = answer.content_type.endswith("json") and body
            return Reply(answer.status, answer.headers, body, await answer.json(content_type=None) if is_json else None)

    async def ask(self, text: str = "a", *, headers: dict[str, str] | None = None, **members: JSON) -> Reply:
        return await self.call("POST", "/v1/ask", json={"text": text, **members}, headers=headers or {})

    async def task(self, task_id: str) -> Any:
        reply = await self.call("GET", f"/v1/tasks/{task_id}")
        assert reply.status == 200, reply.body
        return reply.json

    async def new_key(self, *scopes: str, **members: JSON) -> "Client":
        """Create a key as an admin; return a client that uses it."""
        reply = await self.call("POST", "/v1/keys", json={"name": "test", "scopes": list(scopes), **members})
        assert reply.status == 201, reply.body
        return Client(self.session, self.plane, reply.json["secret"])

    async def claim(self, agent: str = "echo", count: int = 1) -> tuple[Lease, ...]:
        """Claim steps as a runner."""
        wish = {"agent": agent, "node": "home", "runner": "r1", "count": count}
        reply = await self.call("POST", "/runner/v1/claim", json=wish)
        assert reply.status == 200, reply.body
        return ClaimReply.model_validate_json(reply.body).leases

    async def claim_one(self) -> Lease:
        """Claim until there is something."""
        leases = await self.claim()
        while not leases:
            leases = await self.claim()
        return leases[0]

    async def complete(self, lease: Lease, **members: Any) -> Reply:
        """Commit an outcome as a runner."""
        held = {"task_id": lease.task_id, "step": lease.step, "attempt": lease.attempt, "fence": lease.fence}
        base = {"held": held, "runner": "r1", "node": "home", "state": "completed", "duration_s": 0.1}
        outcome = Completion.model_validate({**base, **members})
        return await self.call(
            "POST",
            "/runner/v1/complete",
            data=outcome.model_dump_json(),
            headers={"Content-Type": "application/json"},
        )


def main() -> None:
    """Be the process."""
    from concilium.gateway.__main__ import serve
    from concilium.logs import configure
    from support.fold import advance

    home = Home.find()
    configure(home.config.log, libraries=logging.INFO)
    serve(home, advance)


if __name__ == "__main__":
    main()
