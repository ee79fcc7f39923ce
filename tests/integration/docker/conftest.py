"""A Docker daemon of the tests' own: own data, own socket, no bridge, no iptables; gVisor as one of its runtimes."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

STARTS_WITHIN_S = 60
RUNTIMES = {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--platform=ptrace", "--network=none"]}}
LINKS = [path for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32") if Path(path).is_symlink()]


@dataclass
class Docker:
    """The daemon, by its command line client."""

    socket: Path

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def __call__(self, *words: str, given: bytes = b"", timeout_s: float = 60) -> str:
        """Return what a command prints, both streams together."""
        environment = {**os.environ, "DOCKER_HOST": self.host}
        done = subprocess.run(
            ["docker", *words], input=given, capture_output=True, timeout=timeout_s, env=environment, check=False
        )
        return (done.stdout + done.stderr).decode("utf-8", "replace").strip()

    def containers(self) -> list[str]:
        """Return every container there is, also those that have ended."""
        return self("ps", "--all", "--quiet").split()


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A daemon with nothing in it."""
    if os.geteuid() != 0 or not (shutil.which("dockerd") and shutil.which("docker") and shutil.which("runsc")):
        pytest.skip("needs root, docker.io and runsc")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="concilium-docker-", dir="/var/tmp")))
        folder.chmod(0o711)
        settings = {
            "data-root": str(folder / "data"),
            "exec-root": str(folder / "exec"),
            "pidfile": str(folder / "pid"),
            "hosts": [f"unix://{folder / 'socket'}"],
            "bridge": "none",
            "iptables": False,
            "runtimes": RUNTIMES,
        }
        (folder / "daemon.json").write_text(json.dumps(settings))
        log = stack.enter_context((folder / "log").open("wb"))
        words = ["dockerd", "--config-file", str(folder / "daemon.json")]
        daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(_stop, daemon)
        found = Docker(folder / "socket")
        deadline = time.monotonic() + STARTS_WITHIN_S
        while "Server Version" not in found("info"):
            assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
        yield found
        assert found.containers() == []


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    """An image of a root with nothing but links and an empty /tmp; the tests bind the system's folders into it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in LINKS:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(Path(path).readlink()), 0o777
            tar.addfile(entry)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    docker("import", "-", "concilium-test:empty", given=packed.getvalue())
    return "concilium-test:empty"
