"""An n8n beside a mesh, driven as its callers and its owner drive it."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx

from support.command import Mesh
from support.n8n_variants import write_variants
from support.ports import free_ports

T = TypeVar("T")
UP_S = 600.0
WAIT_S = 120.0
OWNER = {"email": "owner@example.test", "firstName": "Mesh", "lastName": "Owner", "password": "Not-a-secret-1"}
SCOPES = ["workflow:list", "workflow:read", "execution:list", "execution:read"]


@dataclass
class N8n:
    """One n8n with its mesh."""

    mesh: Mesh
    port: int
    mesh_port: int
    tunnel_port: int
    """Where n8n's workflow *elsewhere* expects the mesh."""
    told: dict[str, Any] = field(default_factory=dict)
    """What `concilium up --n8n --json` printed."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mesh_url(self) -> str:
        return f"http://127.0.0.1:{self.mesh_port}"

    @cached_property
    def http(self) -> httpx.Client:
        """Somebody who calls this n8n's webhooks and forms."""
        return httpx.Client(base_url=self.url, timeout=180, trust_env=False, follow_redirects=False)

    @cached_property
    def owner(self) -> httpx.Client:
        """The owner of this n8n, with a key for its public API."""
        client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        client.post("/rest/owner/setup", json=OWNER).raise_for_status()
        made = client.post("/rest/api-keys", json={"label": "tests", "expiresAt": None, "scopes": SCOPES})
        client.headers["X-N8N-API-KEY"] = made.raise_for_status().json()["data"]["rawApiKey"]
        return client

    @cached_property
    def asker(self) -> httpx.Client:
        """The mesh's API with the key that n8n holds."""
        key = (self.mesh.home / "keys" / "n8n.key").read_text().strip()
        return httpx.Client(
            base_url=self.mesh_url, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
        )

    def tasks(self, **query: str) -> list[dict[str, Any]]:
        """Return the tasks that n8n submitted, newest first."""
        found: list[dict[str, Any]] = self.asker.get("/v1/tasks", params={"limit": "200", **query}).json()["tasks"]
        return found

    def execution(self, number: str) -> dict[str, Any]:
        """Return an execution with what each of its nodes gave."""
        answer = self.owner.get(f"/api/v1/executions/{number}", params={"includeData": "true"})
        if answer.status_code == 404:
            return {"status": "new"}
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def ended(self, number: str) -> dict[str, Any]:
        """Return an execution once it has ended."""
        return until(lambda: self.execution(number), lambda found: found["status"] in {"success", "error", "crashed"})

    def waiting(self, number: str) -> str:
        """Return the URL that resumes an execution, once n8n waits for it to be called."""
        until(lambda: self.execution(number), lambda found: found["status"] == "waiting")
        task = next(task for task in self.tasks() if task["context_id"] == f"n8n-{number}")
        return str(task["callback_url"])

    def tunnel_open(self) -> bool:
        """Whether the mesh answers at the tunnel's end."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.tunnel_port}/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def submit(self, url: str, fields: dict[str, str]) -> "Page":
        """Send a form as a browser does; return the page that follows."""
        sent = self.http.post(url, files={name: (None, value) for name, value in fields.items()})
        sent.raise_for_status()
        after = sent.json().get("formWaitingUrl", url) if sent.text.startswith("{") else url
        until(lambda: self.http.get(f"{after}/n8n-execution-status").text, lambda state: state == "form-waiting")
        text = self.http.get(after).text
        return Page(after, text)

    def close(self) -> None:
        """Close the connections that were opened."""
        for client in (self.__dict__.get(name) for name in ("http", "owner", "asker")):
            if client is not None:
                client.close()

    def log(self, name: str) -> str:
        return (self.mesh.home / "logs" / f"{name}.log").read_text(errors="replace")


@dataclass(frozen=True)
class Page:
    """A page of a form."""

    url: str
    text: str


class Gate:
    """A web server that answers only once it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def open(self) -> None:
        """Let everybody through."""
        self._opened.set()

    def __enter__(self) -> "Gate":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        opened = self._opened

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                opened.wait(WAIT_S)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def given(execution: dict[str, Any], node: str) -> list[dict[str, Any]]:
    """Return the items a node gave in its last run."""
    runs = execution["data"]["resultData"]["runData"][node]
    items: list[dict[str, Any]] = runs[-1]["data"]["main"][0]
    return items


def until(look: Callable[[], T], good: Callable[[T], object]) -> T:
    """Return what is seen once it is as it should be."""
    end = time.monotonic() + WAIT_S
    while not good(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.2)
    return seen


@contextmanager
def running_n8n(home: Path, version: str, gate_url: str | None = None) -> Iterator[N8n]:
    """Yield n8n of a version beside a mesh with the agents that see, speak and run scripts.

    With the address of a gate the tests' own workflows are there besides the shipped ones; without, the mesh runs
    before n8n joins it.
    """
    first = free_ports(7)
    if gate_url is not None:
        write_variants(home / "workflows", gate_url=gate_url, tunnel_url=f"http://127.0.0.1:{first + 6}")
    settings = {
        "HOME": home,
        "GATEWAY__PORT": first,
        "AGENTS__BASE_PORT": first + 1,
        "AGENTS__START": "[code, vision, tts]",
        "N8N__PORT": first + 4,
        "N8N__VERSION": version,
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CONCILIUM_")}
    mesh = Mesh(home, plain | {f"CONCILIUM_{name}": str(value) for name, value in settings.items()})
    running = N8n(mesh, first + 4, first, first + 6)
    try:
        if gate_url is None:
            alone = mesh.run("up", "--json")
            assert json.loads(alone.stdout)["n8n"] is None, alone.stderr
        started = mesh.run("up", "--n8n", "--json", timeout_s=UP_S)
        assert started.returncode == 0, started.stderr
        running.told = json.loads(started.stdout)
        yield running
    finally:
        running.close()
        mesh.run("down")
