"""A real Prometheus on loopback, configured by the files the mesh ships, and what may be asked of it."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.agents import ROOT
from support.mesh import Mesh
from support.ports import free_port

SHIPPED = ROOT / "infra" / "prometheus"
WAIT_S = 60.0


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str
    log: Path

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer of its HTTP API."""
        where = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(where, timeout=10) as answer:
            return json.load(answer)["data"]

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the vector that an expression gives now; fails when it is refused."""
        return list(self.get("query", query=expression)["result"])

    def soon(self, expression: str) -> list[dict[str, Any]]:
        """Return the vector that an expression gives once it gives one; fails after `WAIT_S`."""
        deadline = time.monotonic() + WAIT_S
        while not (found := self.ask(expression)):
            assert time.monotonic() < deadline, (expression, self.targets(), self.log.read_text()[-3000:])
            time.sleep(0.2)
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped, each with its health."""
        return list(self.get("targets", state="active")["activeTargets"])


@contextlib.contextmanager
def prometheus(folder: Path, control: str, key: str) -> Iterator[Prometheus]:
    """Run one that scrapes the mesh behind ``host:port`` every second.

    Args:
        folder: an empty folder, for its configuration and its data.
        control: the control plane.
        key: the mesh key.
    """
    port = free_port()
    (folder / "mesh.key").write_text(key + "\n")
    text = (SHIPPED / "prometheus.yml").read_text()
    for old, new in (
        ("/given/mesh.key", str(folder / "mesh.key")),
        ("control:8400", control),
        ("localhost:9090", f"127.0.0.1:{port}"),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("scrape_timeout: 10s", "scrape_timeout: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ("refresh_interval: 30s", "refresh_interval: 1s"),
    ):
        assert old in text, f"prometheus.yml says nothing of {old}"
        text = text.replace(old, new)
    config = folder / "prometheus.yml"
    config.write_text(text)
    (folder / "alerts.yml").write_text((SHIPPED / "alerts.yml").read_text())
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["prometheus", *arguments], stdout=out, stderr=out, env={**os.environ, "TZ": "UTC"})
    try:
        _wait_ready(process, f"http://127.0.0.1:{port}", log)
        yield Prometheus(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def ask(mesh: Mesh) -> Any:
    """Have the mesh work; return the task once it ended."""
    body = json.dumps({"text": "qqq", "wait_s": 60}).encode()
    headers = {"Authorization": f"Bearer {mesh.key()}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(mesh.url + "/v1/ask", body, headers), timeout=90) as answer:
        return json.load(answer)


def scraped(mesh: Mesh, key: str) -> str:
    """Return what the control plane and every agent tell, to the holder of that key."""
    pages = []
    for url in (mesh.url, *mesh.home.agent_urls().values()):
        wish = urllib.request.Request(url + "/metrics", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(wish, timeout=20) as answer:
            pages.append(answer.read().decode())
    return "".join(pages)
