"""Downloads and builds outside the checkout, named by the hash of what they are made from, made once."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from concilium.cli.errors import CliError
from concilium.cli.logfile import tail
from concilium.cli.output import note

TELL_EVERY_S = 10.0


def cache_folder(name: str, *parts: bytes) -> Path:
    """Return the folder of something made from these parts on this kind of machine."""
    hashed = hashlib.sha256(b"\0".join((*parts, platform.machine().encode(), "".join(platform.libc_ver()).encode())))
    return platformdirs.user_cache_path("concilium") / f"{name}-{hashed.hexdigest()[:16]}"


@contextmanager
def made_once(place: Path) -> Iterator[bool]:
    """Hold the folder's lock; give whether its content is yet to be made. It counts as made when the block succeeds.

    Raises:
        CliError: the folder cannot be written.
    """
    stamp = place / "made"
    if stamp.is_file():
        yield False
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = place.with_name(f"{place.name}.lock").open("w")
    except OSError as error:
        raise CliError(f"{place} cannot be made: {error}", "set XDG_CACHE_HOME to a folder you may write") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        absent = not stamp.is_file()
        if absent:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True, exist_ok=True)
        yield absent
        if absent:
            stamp.touch()


def run_watched(
    command: Sequence[str], log: Path, what: str, environ: Mapping[str, str], *, cwd: Path | None = None
) -> None:
    """Run a long command, saying every ten seconds that it still runs.

    Raises:
        CliError: it failed; the message ends with what it said.
    """
    began = time.monotonic()
    note(what)
    with log.open("ab") as out:
        child = subprocess.Popen(  # noqa: S603 - npm and pip, with arguments of our own
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env={**os.environ, **environ}
        )
        try:
            while True:
                try:
                    code = child.wait(TELL_EVERY_S)
                    break
                except subprocess.TimeoutExpired:
                    note(f"  {time.monotonic() - began:4.0f} s  {what}")
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if code:
        end = "\n".join(f"  {line}" for line in tail(log, 15))
        raise CliError(f"`{' '.join(map(str, command[:4]))} …` ended with {code}; the end of {log}:\n{end}")
    note(f"  {time.monotonic() - began:4.0f} s  {what}: done")
