"""The attempts to escape from the sandbox, carried out inside the code container."""

import io
import json
import tarfile
from pathlib import Path

from compose.stack import HOME, PROJECT, ROOT, Stack

SUITE = ("tests/support/escapes", "tests/compose/inside.py")
FOLDER = "/tmp/escapes"
HOST_FOLDER = f"ESCAPES_HOST_FOLDER={HOME}/agent-state"
SUITE_S = 900


def in_the_service(stack: Stack) -> str:
    """In the container as the Compose client here starts it, on the rung that holds there."""
    oldest = stack.environ.get("CODE_PROC") == "no-new-privileges"
    container = stack.container("code")
    return _carried_out(stack, container, "landlock" if oldest else "bubblewrap")


def with_open_proc(stack: Stack) -> str:
    """In a container of the same image with the options that Compose v2 gives it, on bubblewrap."""
    words = ["run", "--detach", "--rm", "--init", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    words += ["--user", "10011:10010", "--memory", "2g", "--pids-limit", "512", "--tmpfs", "/tmp:mode=1777,exec"]
    words += ["--tmpfs", f"{HOME}/agent-state:uid=10011,gid=10010,mode=0700"]
    words += ["--security-opt", "no-new-privileges", "--security-opt", "systempaths=unconfined"]
    words += ["--security-opt", f"seccomp={ROOT / 'infra/seccomp/code.json'}", "--label", f"of={PROJECT}"]
    container = stack.docker(*words, stack.inspect("code")["Config"]["Image"], "sleep", "1800").splitlines()[-1]
    try:
        return _carried_out(stack, container, "bubblewrap")
    finally:
        stack.docker("rm", "--force", container)


def _carried_out(stack: Stack, container: str, rung: str) -> str:
    docker = stack.docker
    packed = docker.run(
        "exec", "--interactive", container, "sh", "-c", f"mkdir -p {FOLDER} && tar -xC {FOLDER}", given=_tar()
    )
    assert packed.returncode == 0, packed.stderr
    words = ["exec", "--env", f"PYTHONPATH={FOLDER}/tests", "--env", HOST_FOLDER, container, "python", "-B"]
    done = docker.run(*words, f"{FOLDER}/{SUITE[1]}", rung, timeout_s=SUITE_S)
    docker("exec", container, "rm", "-r", FOLDER)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    lines = [line for line in said.splitlines() if line.startswith('{"rung"')]
    assert lines, said[-3000:]
    found = json.loads(lines[0])
    assert done.returncode == 0, found
    return f"{found['rung']}: {found['held']} held, {found['stated']} stated, 0 escaped"


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in SUITE:
            tar.add(ROOT / name, name, filter=_plain)
    return packed.getvalue()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.mode = 0o755 if entry.isdir() else 0o644
    return None if Path(entry.name).name == "__pycache__" else entry
