"""A real vLLM in a process of its own, on loopback, started by the line that `concilium.engine.launch` builds."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from concilium.contracts.models import Loras, ModelSpec, Profile
from concilium.engine.launch import ENVIRONMENT, Launch, launch
from support.embedded.words import ADAPTERS
from support.ports import free_port
from support.served_models.environment import QUIET
from support.vllm import environment, models

START_S = 300.0
STOP_S = 30.0
SECRET = "vllms-own-secret"
CONTEXT = 2048
SLOTS = 8
SPEC = ModelSpec.model_validate(
    {
        "context_tokens": CONTEXT,
        "weights": {"bf16": {"repository": "tests/tiny"}},
        "shape": {"hidden_size": 64},
        "tool_parser": "hermes",
    }
)
PROFILE = Profile(
    model=models.NAME,
    precision="bf16",
    card_gb=1,
    split={"brain": 0.5},
    context_tokens=CONTEXT,
    streams=8,
    # The last slot stays empty: see `test_the_base_model_answers_as_itself_beside_adapters_in_every_slot`.
    loras=Loras(
        slots=SLOTS,
        in_memory=2 * SLOTS,
        rank=16,
        modules=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    ),
    # What a CPU needs: nothing compiled, and the precision in which the embedded engine runs the same model.
    flags={"enforce-eager": True, "dtype": "float32", "block-size": 32},
)
ENVIRON = {**ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_API_KEY": SECRET, "TRANSFORMERS_OFFLINE": "1"}


def line(folder: Path, port: int) -> Launch:
    """Return how the test model is started."""
    return launch(models.NAME, SPEC, PROFILE, model=str(folder / models.NAME), host="127.0.0.1", port=port)


@dataclass
class VllmServer:
    """Start it, ask it, stop it."""

    home: Path
    """An empty folder for its log and what it keeps."""
    models: Path = field(default_factory=models.made)
    """Folder with the model and the adapters."""
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

    def environ(self) -> dict[str, str]:
        """Return the environment variables of vLLM's processes."""
        found = {**os.environ, **QUIET, **ENVIRON, "HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        found.pop("PYTHONPATH", None)
        return found

    def launch(self) -> None:
        """Start the process."""
        command = [str(environment.program()), "serve", *line(self.models, self.port).arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environ(), stdout=log, stderr=log, start_new_session=True, cwd=self.home
            )

    def wait(self) -> None:
        """Return when it answers ``/health``; that alone proves little."""
        deadline = time.monotonic() + START_S
        while not self._healthy():
            assert self.process is not None
            assert self.process.poll() is None, f"vLLM ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"vLLM is not ready:\n{self.said()}"
            time.sleep(0.1)

    def prove(self) -> None:
        """Have it say something: a vLLM may be healthy and end with the first request."""
        body = json.dumps({"model": models.NAME, "prompt": "the", "max_tokens": 2}).encode()
        headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/v1/completions", body, headers), timeout=120):
            pass

    def stop(self) -> None:
        """End it and the processes it started."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def said(self) -> str:
        """Return the end of what it has logged."""
        return self.log.read_text(errors="replace")[-6000:]

    def adapter(self, name: str) -> Path:
        """Return the folder of one of `ADAPTERS`."""
        assert name in ADAPTERS
        return self.models / name

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        return False
