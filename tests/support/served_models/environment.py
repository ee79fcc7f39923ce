"""The virtual environment of the test models: PyTorch, transformers and its server, apart from the project's own.

It lies in ``${XDG_CACHE_HOME:-~/.cache}/concilium/models-<key>``, where the key is of the lock file, of the Python and
of the machine's kind; it is made once (about 200 MB of downloads on Linux) and then found. Several callers may ask at
once: one makes it, the others wait.

All packages but PyTorch are checked against the hashes of ``requirements-models.lock``. PyTorch is pinned by version
alone, because each of its builds is another file: the CPU build where pip is told to find it (``find-links``), else
the one uv takes from PyTorch's own index.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "requirements-models.txt"
LOCK = ROOT / "requirements-models.lock"
PYTHON_VERSION = "3.11"
"""The oldest Python of the project: what the lock file is resolved for."""

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Threads that wait for each other sleep instead of turning: other programs run on the same cores.
    "OMP_WAIT_POLICY": "passive",
}
"""Environment variables of every process that runs in this environment."""


class CannotPrepare(Exception):
    """The environment or a model could not be made; the text says what failed."""


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def digest(*parts: str | bytes) -> str:
    """Return 16 hex digits of a hash over the parts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the project's folder for downloads, in the checkout's ``build`` when the user's cannot be written."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path(os.environ.get("HOME", "/nonexistent")) / ".cache")
    folder = Path(base) / "concilium"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = ROOT / "build" / "cache"
    return folder if os.access(folder, os.W_OK) else ROOT / "build" / "cache"


def folder() -> Path:
    """Return the folder of this environment and its models."""
    python = ".".join(map(str, sys.version_info[:2]))
    key = digest(LOCK.read_bytes(), REQUIREMENTS.read_bytes(), python, sys.base_prefix, platform.machine())
    return cache_folder() / f"models-{key}"


@contextmanager
def only_one(place: Path) -> Iterator[None]:
    """Hold the folder's lock: whoever else wants to make something in it waits."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def python() -> Path:
    """Return the environment's Python, made when it is absent.

    Raises:
        CannotPrepare: a package could not be installed.
    """
    place = folder()
    found = place / "venv" / "bin" / "python"
    stamp = place / "venv" / ".installed"
    if stamp.is_file():
        return found
    with only_one(place):
        if not stamp.is_file():
            began = time.monotonic()
            say(f"Making the environment of the test models in {place}")
            _make(place / "venv")
            stamp.touch()
            say(f"  made in {time.monotonic() - began:.0f} s")
    return found


def _make(venv: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        raise CannotPrepare("uv is not in this environment: run `make setup`")
    shutil.rmtree(venv, ignore_errors=True)
    into = ["--quiet", "--python", str(venv / "bin" / "python")]
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    say("  transformers and its server")
    run([str(uv), "pip", "sync", *into, "--require-hashes", str(LOCK)])
    say("  PyTorch, CPU build")
    torch = _pinned("torch")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(venv / "bin/python")]
    # The local version exists only where pip was told to find that build; PyPI has none, so this fails fast elsewhere.
    if run([*pip, "install", "--no-deps", f"{torch}+cpu"], check=False):
        run([str(uv), "pip", "install", *into, "--no-deps", "--torch-backend", "cpu", torch])


def lock() -> None:
    """Resolve ``requirements-models.txt`` into ``requirements-models.lock``; versions already locked stay."""
    uv = Path(sys.executable).parent / "uv"
    links = os.environ.get("PIP_FIND_LINKS")
    build = ["--find-links", links] if links else ["--torch-backend", "cpu"]
    options = ["--generate-hashes", "--python-version", PYTHON_VERSION, "--no-header", "--quiet", "--no-annotate"]
    options += ["--no-emit-package", "torch", "--output-file", str(LOCK)]
    run([str(uv), "pip", "compile", str(REQUIREMENTS), *build, *options])
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    head = "# Locked packages of the test models' environment, without PyTorch; see requirements-models.txt."
    LOCK.write_text("\n".join([head, *lines]) + "\n")


def _pinned(name: str) -> str:
    return next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith(f"{name}=="))


def run(
    command: Sequence[str], *, check: bool = True, loud: bool = False, environ: dict[str, str] | None = None
) -> int:
    """Run a command to its end and return its exit status; ``loud`` shows what it says, as it says it.

    Raises:
        CannotPrepare: it failed, and ``check`` is set; the text ends with what it said.
    """
    # uv's cache lies beside the environment, so that its files are links of the cache's and no home is needed.
    full = {**os.environ, "UV_CACHE_DIR": str(folder() / "uv"), **(environ or {})}
    sink = None if loud else subprocess.PIPE
    done = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, text=True, env=full, check=False)
    if check and done.returncode:
        raise CannotPrepare(f"`{' '.join(command)}` ended with {done.returncode}:\n{(done.stdout or '')[-4000:]}")
    return done.returncode
