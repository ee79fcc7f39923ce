"""A Docker daemon of the tests' own: its own data and socket, no default bridge; started here, stopped by its pid."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTS_WITHIN_S = 60
ENDS_WITHIN_S = 60


@dataclass
class Docker:
    """The daemon, by its command line client."""

    socket: Path

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def environ(self) -> dict[str, str]:
        """What its clients are started with."""
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0"}

    def __call__(self, *words: str, given: bytes = b"", timeout_s: float = 60) -> str:
        """Return what a command prints, both streams together."""
        done = self.run(*words, given=given, timeout_s=timeout_s)
        return (done.stdout + done.stderr).decode("utf-8", "replace").strip()

    def run(self, *words: str, given: bytes = b"", timeout_s: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run a command of the client."""
        return subprocess.run(
            ["docker", *words], input=given, capture_output=True, timeout=timeout_s, env=self.environ, check=False
        )

    def containers(self) -> list[str]:
        """Return every container there is, also those that have ended."""
        return self("ps", "--all", "--quiet").split()


@contextmanager
def running_docker(folder: Path, **settings: Any) -> Iterator[Docker]:
    """Yield a daemon that keeps everything in a folder; ``settings`` go into its daemon.json."""
    own = {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{folder / 'socket'}"],
        "bridge": "none",
    }
    (folder / "daemon.json").write_text(json.dumps(own | settings))
    found = Docker(folder / "socket")
    with (folder / "log").open("wb") as log:
        words = ["dockerd", "--config-file", str(folder / "daemon.json")]
        daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + STARTS_WITHIN_S
            while "Server Version" not in found("info"):
                assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            yield found
        finally:
            _stop(daemon)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
