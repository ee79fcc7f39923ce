"""A rented node in a project of its own, as on another machine: it joins, works, and is sent away."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from compose.chaos import gateway
from compose.stack import ROOT, UP_S, Stack, client, good

PROJECT = "concilium-check-node"
FILES = ("infra/compose/vps.yml", "tests/compose/check-node.yml")
NAME = "rented"
UID = 10030
JOINS_S = 180


def build(stack: Stack) -> None:
    """Build the node's image."""
    good(_compose(stack, {}, "build"))


def joins_and_works(stack: Stack) -> str:
    """Home dials the node; started anew without its token, it speaks for home's voice; revoked, it is let go."""
    address = gateway(stack)
    said = _told(stack, "nodes", "invite", NAME, "--address", f"{address}:8443", "--agents", "tts", "--json")
    token = json.loads(said)["command"].split()[-1]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "token"
        file.touch(mode=0o600)
        file.write_text(token + "\n")
        os.chown(file, UID, UID)
        own = {"NODE_GIVEN": folder, "NODE_ADDRESS": address}
        try:
            good(_compose(stack, own, "up", "--detach", "--no-build"))
            _until(lambda: _node(stack)["state"] == "enrolled", lambda: _log(stack, own))
            # Its agents start once it has enrolled.
            status = ("exec", "-T", "node", "concilium", "status")
            _until(lambda: _compose(stack, own, *status).returncode == 0, lambda: _log(stack, own))
            file.unlink()
            good(_compose(stack, own, "restart"))
            _until(lambda: _compose(stack, own, *status).returncode == 0, lambda: _log(stack, own))
            return _works(stack)
        finally:
            _compose(stack, own, "down", "--volumes", "--timeout", "20")


def _works(stack: Stack) -> str:
    stack.docker("stop", stack.container("tts"))
    try:
        answer = json.loads(_told(stack, "ask", "Read aloud: from the rented node", "--json"))["answer"]
    finally:
        stack.docker("start", stack.container("tts"))
    entry = answer["provenance"][-1]  # home may have tried first
    assert (entry["skill"], entry["node"], entry["state"]) == ("tts.speak", NAME, "completed"), answer
    _told(stack, "nodes", "revoke", NAME)
    stack.wait_healthy(("tts",))
    return f"tts.speak by {entry['node']} while home's was stopped; revoked"


def _node(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_told(stack, "nodes", "show", NAME, "--json"))
    return found


def _told(stack: Stack, *words: str) -> str:
    """Run the owner's command; return what it printed."""
    done = stack.docker.run("exec", stack.container("control"), "concilium", *words, timeout_s=JOINS_S)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


def _until(holds: Any, log: Any) -> None:
    until = time.monotonic() + JOINS_S
    while not holds():
        assert time.monotonic() < until, log()
        time.sleep(1)


def _log(stack: Stack, own: dict[str, str]) -> str:
    links = stack.run("links", "cat", "/var/lib/concilium/logs/link.log")[1]
    return _compose(stack, own, "logs", "--tail", "20").stdout + links[-2000:] + json.dumps(_node(stack))


def _compose(stack: Stack, own: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    files = [word for name in FILES for word in ("--file", name)]
    return subprocess.run(
        [*client(), "--project-directory", ".", *files, *words],
        cwd=ROOT,
        env={**stack.environ, **own, "COMPOSE_PROJECT_NAME": PROJECT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * UP_S,
        check=False,
    )
