"""Virtual environments with PyTorch, apart from the project's own: `MODELS`, with transformers and its server, for the
test models; `EMBEDDED`, the project itself with the embedded engine.

One lies in ``${XDG_CACHE_HOME:-~/.cache}/concilium/<name>-<key>``, where the key is of the lock file, of the Python and
of the machine's kind; it is made once (about 200 MB of downloads on Linux) and then found. Several callers may ask at
once: one makes it, the others wait.

All packages but PyTorch are checked against the hashes of the lock file. PyTorch is pinned by version alone, because
each of its builds is another file: the CPU build where pip is told to find it (``find-links``), else the one uv takes
from PyTorch's own index.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
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


@contextmanager
def only_one(place: Path) -> Iterator[None]:
    """Hold the folder's lock: whoever else wants to make something in it waits."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Environment:
    """One virtual environment."""

    name: str
    resolved: tuple[str, ...]
    """What ``uv pip compile`` resolves: a file of the checkout that pins PyTorch too, and options."""
    keyed: tuple[str, ...]
    """Files whose content decides whether the environment is made anew; the first is the lock file."""

    @property
    def lock_file(self) -> Path:
        """The locked packages, with hashes."""
        return ROOT / self.keyed[0]

    @property
    def folder(self) -> Path:
        """The folder of this environment and of what is made with it."""
        version = ".".join(map(str, sys.version_info[:2]))
        contents = ((ROOT / name).read_bytes() for name in self.keyed)
        key = digest(*contents, version, sys.base_prefix, platform.machine())
        return cache_folder() / f"{self.name}-{key}"

    def python(self) -> Path:
        """Return the environment's Python, made when it is absent.

        Raises:
            CannotPrepare: a package could not be installed.
        """
        place = self.folder
        stamp = place / "venv" / ".installed"
        if not stamp.is_file():
            with only_one(place):
                if not stamp.is_file():
                    began = time.monotonic()
                    say(f"Making the environment {self.name} in {place}")
                    self._make(place / "venv")
                    stamp.touch()
                    say(f"  made in {time.monotonic() - began:.0f} s")
        return place / "venv" / "bin" / "python"

    def _make(self, venv: Path) -> None:
        uv = _uv()
        # uv's cache lies beside the environment, so that its files are links of the cache's and no home is needed.
        cache = {"UV_CACHE_DIR": str(venv.parent / "uv")}
        shutil.rmtree(venv, ignore_errors=True)
        into = ["--quiet", "--python", str(venv / "bin" / "python")]
        run([sys.executable, "-m", "venv", "--without-pip", str(venv)])
        say("  the locked packages")
        run([uv, "pip", "sync", *into, "--require-hashes", str(self.lock_file)], environ=cache)
        say("  PyTorch, CPU build")
        torch = self._torch()
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        pip += ["--python", str(venv / "bin" / "python"), "install", "--no-deps"]
        # The local version exists only where pip was told to find that build; elsewhere this fails fast: PyPI has none.
        if run([*pip, f"{torch}+cpu"], check=False):
            run([uv, "pip", "install", *into, "--no-deps", "--torch-backend", "cpu", torch], environ=cache)

    def lock(self) -> None:
        """Resolve the requirements into the lock file; versions already locked stay."""
        links = os.environ.get("PIP_FIND_LINKS")
        build = ["--find-links", links] if links else ["--torch-backend", "cpu"]
        options = ["--generate-hashes", "--python-version", PYTHON_VERSION, "--no-header", "--quiet", "--no-annotate"]
        options += ["--no-emit-package", "torch", "--output-file", str(self.lock_file)]
        run([_uv(), "pip", "compile", *self.resolved, *build, *options])
        lines = [line for line in self.lock_file.read_text().splitlines() if not line.startswith("#")]
        head = f"# Locked packages of the environment {self.name}; {self._torch()} comes apart, see {self.resolved[0]}."
        self.lock_file.write_text("\n".join([head, *lines]) + "\n")

    def _torch(self) -> str:
        found = re.search(r"\btorch==[\w.]+", (ROOT / self.resolved[0]).read_text())
        if found is None:
            raise CannotPrepare(f"{self.resolved[0]} does not pin torch")
        return found[0]


MODELS = Environment("models", ("requirements-models.txt",), ("requirements-models.lock", "requirements-models.txt"))
EMBEDDED = Environment("embedded", ("pyproject.toml", "--extra", "embedded"), ("requirements-embedded.lock",))


def _uv() -> str:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        raise CannotPrepare("uv is not in this environment: run `make setup`")
    return str(uv)


def run(
    command: Sequence[str], *, check: bool = True, loud: bool = False, environ: dict[str, str] | None = None
) -> int:
    """Run a command to its end and return its exit status; ``loud`` shows what it says, as it says it.

    Raises:
        CannotPrepare: it failed, and ``check`` is set; the text ends with what it said.
    """
    full = {**os.environ, **(environ or {})}
    sink = None if loud else subprocess.PIPE
    done = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, text=True, env=full, check=False)
    if check and done.returncode:
        raise CannotPrepare(f"`{' '.join(command)}` ended with {done.returncode}:\n{(done.stdout or '')[-4000:]}")
    return done.returncode
