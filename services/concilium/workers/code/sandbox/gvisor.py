"""gVisor through Docker: a run inside a kernel written in Go, which serves its system calls instead of the host's.

Taken when the Docker daemon has a runtime named or made of ``runsc``. The container's root is an empty image made here;
the system's folders are bound into it read-only, as on the other rungs. Docker offers a container no descriptor but
the three standard ones, so the warden's frames carry everything.
"""

import io
import json
import subprocess
import tarfile
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

from .job import SandboxError
from .rung import BOX_SLACK, WARDEN, Rung, Start, which

_ASK_S = 10.0
_OWN_MEMORY = 256 << 20
"""Room for gVisor's own kernel beside the run's memory and files; the limits themselves are the warden's."""
_HOST_THREADS = 2048
_WARDENS = ("SETUID", "SETGID", "SETPCAP", "CHOWN", "KILL", "DAC_OVERRIDE")
"""What the warden needs, as the root of gVisor's kernel, to run the script as nobody and to end it: gVisor lets a
process read what others of the same user have open, so the two must differ. The script has none of them."""
_IMAGE = "concilium-sandbox"


def _command(start: Start) -> list[str]:
    docker = which("docker", " (Debian: docker.io, with runsc as a runtime of the daemon)")
    links = {path: str(Path(path).readlink()) for path in start.interpreter.readable if Path(path).is_symlink()}
    runtime, image = _runtime(docker), _image(docker, tuple(links.items()))
    limits = start.limits
    memory = str(limits.memory_bytes + limits.disk_bytes + _OWN_MEMORY)
    words = [docker, "run", "--rm", "--interactive", "--pull", "never", "--name", start.name, "--runtime", runtime]
    words += ["--network", "none", "--ipc", "none", "--hostname", "sandbox", "--read-only", "--log-driver", "none"]
    words += ["--dns", "127.0.0.1", "--security-opt", "no-new-privileges", "--user", "0:0", "--cap-drop", "ALL"]
    for capability in _WARDENS:
        words += ["--cap-add", capability]
    words += ["--memory", memory, "--memory-swap", memory, "--pids-limit", str(_HOST_THREADS)]
    size = limits.disk_bytes + BOX_SLACK
    words += ["--tmpfs", f"/box:rw,nosuid,nodev,size={size},mode=755"]
    for path in start.shown:
        if path not in links:
            words += _bind(path, path)
    words += [*_bind(str(WARDEN), "/box-warden/warden"), image]
    return words + start.warden(start.interpreter.path, "/box-warden")


def _bind(source: str, target: str) -> list[str]:
    if "," in source or '"' in source:
        raise SandboxError(f"a path with a comma or a quotation mark cannot be shown by Docker: {source}")
    return ["--mount", f"type=bind,source={source},target={target},readonly"]


def _remove(name: str) -> list[str]:
    return [which("docker", ""), "rm", "--force", name]


@cache
def _runtime(docker: str) -> str:
    """Return the name of the daemon's gVisor runtime.

    Raises:
        SandboxError: there is none, or it is told to use the kvm platform, which can hang.
    """
    known: dict[str, dict[str, Any]] = json.loads(_ask(docker, ["info", "--format", "{{json .Runtimes}}"]) or "{}")
    for name, runtime in sorted(known.items()):
        if PurePath(str(runtime.get("path", ""))).name.startswith("runsc") or name.startswith("runsc"):
            if any("kvm" in word for word in runtime.get("runtimeArgs") or ()):
                raise SandboxError(f"Docker's runtime {name} uses the platform kvm, which can hang: take another")
            return name
    raise SandboxError("the Docker daemon has no runsc runtime (in daemon.json: runtimes)")


@cache
def _image(docker: str, links: tuple[tuple[str, str], ...]) -> str:
    """Return an image that holds links alone, importing it when the daemon has not got it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, target in (*links, ("/tmp", "/box/tmp"), ("/out", "/box/out")):  # noqa: S108 - inside
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    content = packed.getvalue()
    image = f"{_IMAGE}:{sha256(content).hexdigest()[:16]}"
    if not _ask(docker, ["images", "--quiet", image]):
        _ask(docker, ["import", "-", image], content)
    return image


def _ask(docker: str, arguments: list[str], given: bytes = b"") -> str:
    """Return what the docker command prints. Raises `SandboxError` with its complaint, or when it hangs."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            [docker, *arguments], input=given, capture_output=True, timeout=_ASK_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError("the Docker daemon does not answer") from error
    if done.returncode:
        raise SandboxError(f"docker: {done.stderr.decode('utf-8', 'replace').strip()[-300:]}")
    return done.stdout.decode("utf-8", "replace").strip()


GVISOR = Rung(
    "gvisor",
    (
        "what gVisor's own kernel keeps, as for pipes and names, is bounded by Docker alone, if the runtime lets it",
        "a run that takes gVisor's own kernel past Docker's limit ends without a result",
        "how many files a run makes is watched, not bounded by its file system",
        "a script may change its own nice value, which has no effect on the host",
    ),
    _command,
    framed=True,
    grouped=False,
    passes=("HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    remove=_remove,
    start_s=15.0,
    end_s=3.0,
)
