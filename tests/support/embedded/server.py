"""The embedded engine in a process of its own, on loopback."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from support.agents import free_port
from support.served_models import environment

ROOT = Path(__file__).resolve().parents[3]
START_S = 240.0
"""Importing PyTorch takes seconds, and many times that on a machine with much else to do."""
STOP_S = 30.0
SECRET = "the-engines-own-secret"


def environ() -> dict[str, str]:
    """Return the environment variables of a process that imports the project in the environment `EMBEDDED`."""
    path = os.pathsep.join((str(ROOT / "services"), str(ROOT / "tests")))
    return {**os.environ, **environment.QUIET, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def run_in_environment(module: str, *arguments: str) -> Any:
    """Run a module of the tests in the environment `EMBEDDED` and return the JSON it prints last."""
    command = [str(environment.EMBEDDED.python()), "-m", module, *arguments]
    done = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@dataclass
class EmbeddedServer:
    """Start it, ask it, stop it."""

    model: Path
    """Folder of the model; its last part is the model's name."""
    home: Path
    """An empty folder for the secret and the log."""
    options: Sequence[str] = ()
    module: str = "concilium.engine.embedded"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.home / "server.log"

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process."""
        self.home.mkdir(parents=True, exist_ok=True)
        secret = self.home / "engine.key"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o600)
        command = [str(environment.EMBEDDED.python()), "-m", self.module, "--model", str(self.model)]
        command += ["--port", str(self.port), "--secret-file", str(secret), "--threads", "1", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environ(), stdout=log, stderr=log)
        return self.process

    def wait(self) -> list[str]:
        """Return when the server is ready, with what ``/ready`` said on the way."""
        said: list[str] = []
        deadline = time.monotonic() + START_S
        while not said or said[-1] != "ready":
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"the server is not ready:\n{self.said()}"
            try:
                status, body = self.call("GET", "/ready")
            except OSError:
                status, body = 0, {"status": "no answer"}
            if not said or said[-1] != body["status"]:
                said.append(body["status"])
            assert (status == 200) == (said[-1] == "ready")
            time.sleep(0.02)
        return said

    def wait_for_any_answer(self) -> None:
        """Return when the server listens."""
        while True:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.said()}"
            try:
                self.call("GET", "/health")
            except OSError:
                time.sleep(0.01)
            else:
                return

    def start(self) -> "EmbeddedServer":
        """Start the server and wait until it is ready."""
        self.launch()
        self.wait()
        return self

    def stop(self) -> int:
        """End the server as a supervisor does and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STOP_S)
        finally:
            self.process.kill()

    def said(self) -> str:
        """Return the end of what the server has logged."""
        return self.log.read_text(errors="replace")[-4000:]

    def call(self, method: str, path: str, body: Any = None, *, secret: str | None = SECRET) -> tuple[int, Any]:
        """Send a request; return the status and the answer, as JSON where it is some."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        if secret is not None:
            request.add_header("Authorization", f"Bearer {secret}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read()
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw.decode()

    def load(self, name: str, folder: Path, *, inplace: bool = False) -> tuple[int, Any]:
        """Load an adapter."""
        body = {"lora_name": name, "lora_path": str(folder), "load_inplace": inplace}
        return self.call("POST", "/v1/load_lora_adapter", body)

    def unload(self, name: str) -> tuple[int, Any]:
        """Unload an adapter."""
        return self.call("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        _, text = self.call("GET", "/metrics")
        families = text_string_to_metric_families(text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)
