"""The packages that scripts find: copied once into a folder named by its content, shown to every run read-only.

Nothing is fetched: the files are those installed beside the agent, each checked against the hash its wheel states.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from concilium.contracts.base import JSON
from concilium.home import Home
from concilium.workers.code.distributions import PackagesError, Python, Source, label, pinned, resolve, sources

SHARED = Path("/var/cache/concilium/code/packages")
"""Where the folders are when the agent is root and nobody may pass through its home."""
_SITE = """import sys
sys.path[:] = [path for path in sys.path if not path.endswith(("site-packages", "dist-packages"))]
"""
"""The folder's ``sitecustomize``: what else the machine has installed is no part of what scripts find."""
_OWN_IN_SANDBOX = ("/tmp", "/dev", "/proc", "/box", "/out")  # noqa: S108 - names of places inside
_ASK_S = 10.0
_COMPILE_S = 120.0
_STALE_S = 3600.0
_ASK = "import sys; print(sys.implementation.cache_tag, '.'.join(map(str, sys.version_info[:3])))"


@dataclass(frozen=True)
class Packages:
    """What scripts find beside the standard library."""

    python: Python
    folder: Path
    listed: tuple[str, ...]
    """``name==version`` of all, dependencies included, by name."""

    @property
    def notes(self) -> list[str]:
        """What a caller should know of the interpreter."""
        own = "{}.{}.{}".format(*sys.version_info[:3])
        if self.python.version == own:
            return []
        return [f"scripts run on Python {self.python.version}, the sandbox's; the agent's own is {own}"]

    def version(self, name: str) -> str | None:
        """Return the version of a package, None when scripts do not find it."""
        return next((entry.partition("==")[2] for entry in self.listed if entry.startswith(f"{name}==")), None)


def find(settings: Mapping[str, JSON], interpreter: str) -> tuple[Packages, list[Source]]:
    """Return the packages of ``settings.packages`` for that interpreter and their installed files; writes nothing.

    Raises:
        PackagesError: a pin is not met, or there is no place for the folder.
    """
    python = _ask(interpreter)
    found = resolve(pinned(settings.get("packages", ())), python)
    files = [source for each in found for source in sources(each)]
    folder = _place(settings) / _digest(python, files)
    return Packages(python, folder, tuple(label(each) for each in found)), files


def prepare(settings: Mapping[str, JSON], interpreter: str) -> Packages:
    """Return the packages, the first time copied and compiled.

    Blocks: some seconds the first time, else a fraction of one.

    Raises:
        PackagesError: as `find`; or a file is not as its wheel brought it, or the folder cannot be made.
    """
    packages, files = find(settings, interpreter)
    if not packages.folder.is_dir():
        _build(packages.folder, files, packages.python)
    _check_own(packages.folder)
    return packages


def _ask(interpreter: str) -> Python:
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter that the sandbox's probe chose
            [interpreter, "-I", "-S", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_S,
            check=True,
        )
        tag, version = done.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise PackagesError(f"{interpreter} does not say which Python it is: {error}") from error
    return Python(interpreter, tag, version)


def _place(settings: Mapping[str, JSON]) -> Path:
    """Return the folder of folders: the setting, else the agent's state where scripts can be shown it, else a cache."""
    if settings.get("packages_folder"):
        chosen = Path(settings["packages_folder"])
        if not chosen.is_absolute() or _hidden(chosen):
            raise PackagesError(
                f"settings.packages_folder {chosen} must be absolute and not below {', '.join(_OWN_IN_SANDBOX)}"
            )
        return chosen
    state = Home.find().agent_state("code") / "packages"
    if os.geteuid() == 0:
        return SHARED if _hidden(state) or not _open_to_all(state) else state
    return user_cache_path("concilium") / "code" / "packages" if _hidden(state) else state


def _hidden(folder: Path) -> bool:
    """Whether the sandbox has something of its own in the folder's place."""
    return any(folder.is_relative_to(own) for own in _OWN_IN_SANDBOX)


def _open_to_all(folder: Path) -> bool:
    """Whether every folder on the way is there and lets nobody pass."""
    return all(path.is_dir() and path.stat().st_mode & stat.S_IXOTH for path in folder.parents)


def _digest(python: Python, files: list[Source]) -> str:
    named = sorted((source.target, source.digest) for source in files)
    return hashlib.sha256(json.dumps([_SITE, python.tag, named]).encode()).hexdigest()[:32]


def _build(folder: Path, files: list[Source], python: Python) -> None:
    """Copy and compile beside the place, then take it at once; another process may have been first."""
    try:
        _make_passable(folder.parent)
        _sweep(folder.parent)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent, ignore_cleanup_errors=True) as new:
            made = Path(new) / "made"
            _copy(files, made)
            _compile(made, folder, python)
            _open(made)
            if not folder.is_dir():
                made.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process won
            return
        raise PackagesError(f"{folder}: {error.strerror}; make room there, or set settings.packages_folder") from error


def _copy(files: list[Source], made: Path) -> None:
    made.mkdir()
    for source in files:
        target = made / source.target
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read())
        target.chmod(0o755 if source.path.stat().st_mode & stat.S_IXUSR else 0o644)
    (made / "sitecustomize.py").write_text(_SITE, encoding="ascii")


def _compile(made: Path, folder: Path, python: Python) -> None:
    """Compile for the interpreter that will run it; a file that cannot be compiled (a template) stays as it is."""
    words = ["-I", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash", "-s", str(made)]
    try:
        subprocess.run(  # noqa: S603 - the same interpreter
            [python.path, *words, "-p", str(folder), str(made)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMPILE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PackagesError(f"compiling the packages took more than {_COMPILE_S:g} s; try again") from error


def _open(made: Path) -> None:
    """Let everybody read: on some sandboxes the script is the user nobody."""
    for path in (made, *made.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _make_passable(folder: Path) -> None:
    """Make the folders that are missing; root's are open for passing, for its scripts run as nobody."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _sweep(parent: Path) -> None:
    """Remove what a killed process left half made."""
    for path in parent.glob(".new-*"):
        if time.time() - path.stat().st_mtime > _STALE_S:
            shutil.rmtree(path, ignore_errors=True)


def _check_own(folder: Path) -> None:
    """Raise `PackagesError` when somebody else could have written what scripts would import."""
    found = folder.stat()
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022:
        raise PackagesError(f"{folder} can be written by another account; remove it and start the agent again")
