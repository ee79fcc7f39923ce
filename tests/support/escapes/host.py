"""What the host has that a run must not reach, and whether it has been reached."""

import contextlib
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from concilium.workers.code.sandbox.seccomp import machine
from concilium.workers.code.sandbox.syscalls import SYSCALLS

_NOBODY = 65534
FOLDER = "ESCAPES_HOST_FOLDER"
"""Environment variable that names where the host's files are made; a container may not write to /var/tmp."""


@dataclass
class Host:
    """Open to every user of the machine, so that only the sandbox keeps a run away from it."""

    folder: Path
    victim: subprocess.Popen[bytes]
    """A process of the user that the run is outside."""
    sockets: list[socket.socket]
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    marker: str = field(default_factory=lambda: secrets.token_hex(16))
    """On the command line of the run, to find what is left of it."""

    def __post_init__(self) -> None:
        self.folder.chmod(0o777)
        for name, text in (("secret", self.secret), ("canary", "untouched")):
            (self.folder / name).write_text(text, encoding="ascii")
            (self.folder / name).chmod(0o666)
        self.shared = Path("/dev/shm") / f"concilium-{self.marker}"
        self.shared.write_text(self.secret, encoding="ascii")
        self.shared.chmod(0o666)
        self.before = self._state()

    def _state(self) -> Any:
        files = {path.name: path.lstat() for path in self.folder.iterdir()}
        seen = {name: (it.st_mode, it.st_uid, it.st_size, it.st_mtime_ns, it.st_nlink) for name, it in files.items()}
        process = psutil.Process(self.victim.pid)
        alive = self.victim.poll() is None and process.status() in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING)
        limits = Path(f"/proc/{self.victim.pid}/limits").read_text()
        return seen, (self.folder / "canary").read_text(), alive, process.nice(), process.cpu_affinity(), limits

    def facts(self) -> dict[str, Any]:
        """Return what the attempts are told."""
        tcp, udp, named, abstract = self.sockets
        kind = machine()
        return {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": named.getsockname(),
            "abstract": abstract.getsockname()[1:].decode(),
            "folder": str(self.folder),
            "secret": str(self.folder / "secret"),
            "canary": str(self.folder / "canary"),
            "shm": self.shared.name,
            "settings": {path: _digest(path) for path in ("/etc/hostname", "/etc/resolv.conf", "/etc/machine-id")},
            "agent": os.getpid(),
            "victim": self.victim.pid,
            "calls": {name: numbers[kind] for name, numbers in SYSCALLS.items()} if kind else {},
        }

    def reached(self) -> list[str]:
        """Return what of the host a run has touched."""
        found = [] if self._state() == self.before else ["something of the host has changed"]
        for each in self.sockets:
            with contextlib.suppress(BlockingIOError):
                each.accept() if each.type == socket.SOCK_STREAM else each.recv(1)
                found.append(f"the host's socket {each.getsockname()} was reached")
        for process in psutil.process_iter(["cmdline"]):
            if self.marker in (process.info["cmdline"] or []):
                found.append(f"left behind: {process.pid}")
        for place in ("/", "/usr", "/usr/bin", "/etc", "/dev", "/tmp", "/var/tmp", "/run"):
            if Path(place, "concilium-escape").exists():
                found.append(f"a file in {place}")
        return found


@contextlib.contextmanager
def host() -> Iterator[Host]:
    """Hold the host's side of an attempt."""
    with contextlib.ExitStack() as stack:
        place = os.environ.get(FOLDER, "/var/tmp")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="concilium-host-", dir=place)))
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            stack.enter_context(socket.socket(socket.AF_UNIX)),
            stack.enter_context(socket.socket(socket.AF_UNIX)),
        ]
        sockets[1].bind(("127.0.0.1", 0))
        sockets[2].bind(str(folder / "socket"))
        sockets[3].bind("\0concilium-" + secrets.token_hex(8))
        (folder / "socket").chmod(0o777)
        for each in sockets:
            if each.type == socket.SOCK_STREAM:
                each.listen()
            each.setblocking(False)
        user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        victim = subprocess.Popen(["sleep", "600"], cwd="/", stdin=subprocess.DEVNULL, **user)  # type: ignore[call-overload]  # keywords of one type
        stack.callback(_end, victim)
        found = Host(folder, victim, sockets)
        stack.callback(found.shared.unlink)
        leak = os.open(folder / "secret", os.O_RDONLY)
        os.set_inheritable(leak, True)  # the sandbox must not hand on what the agent forgot to close
        stack.callback(os.close, leak)
        os.environ[f"CONCILIUM_{found.marker}"] = found.secret
        stack.callback(os.environ.pop, f"CONCILIUM_{found.marker}")
        yield found


def _digest(path: str) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
