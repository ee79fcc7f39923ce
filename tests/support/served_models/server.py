"""A served model: ``transformers serve``, an OpenAI-compatible server, in a process of its own on loopback."""

import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from concilium.contracts.config import EngineConfig
from support.agents import free_port
from support.served_models import environment

START_S = 300.0
"""Importing PyTorch takes ten seconds, and many times that on a machine with much else to do."""
STOP_S = 20.0


@dataclass
class ModelServer:
    """Serves one model; start it, stop it, kill it."""

    model: Path
    """Folder of the model; its last part is the model's name."""
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="served-")
        self.log = Path(self._home.name) / "server.log"

    @property
    def url(self) -> str:
        """What `EngineConfig.url` takes."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def name(self) -> str:
        """What `EngineConfig.model` takes."""
        return self.model.name

    def config(self, timeout_s: float = 60.0) -> EngineConfig:
        """Return the engine as ``mesh.yaml`` would name it."""
        return EngineConfig(url=self.url, model=self.name, timeout_s=timeout_s)

    def start(self) -> None:
        """Start the server; return when it answers. The model is loaded before it listens."""
        # It is run in the folder that holds the model's, whose name so is the model's name.
        program = environment.MODELS.folder / "venv" / "bin" / "transformers"
        command = [str(program), "serve", self.name, "--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]
        command += self.options
        environ = {**os.environ, **environment.QUIET, "HF_HOME": self._home.name}
        environ |= {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}  # one thread is the fastest for so small a model
        environ.pop("PYTHONPATH", None)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.model.parent, env=environ, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self.process.poll() is None, f"the model server ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"the model server is not ready:\n{self.said()}"
            time.sleep(0.05)

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End the server and wait for its end."""
        if self.process is None:
            return
        self.process.send_signal(sig)
        try:
            self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def close(self) -> None:
        """Stop the server and remove what it wrote."""
        self.stop()
        self._home.cleanup()

    def said(self) -> str:
        """Return the end of what the server has logged."""
        return self.log.read_text(errors="replace")[-4000:]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        return False
