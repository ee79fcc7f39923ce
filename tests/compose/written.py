"""What docker-compose.yml says, with every profile: judged without starting anything."""

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import yaml

from compose.stack import ROOT, client

ONE_CPU = {**os.environ, "CPUS": "1", "VLLM_CPUS": "1"}
"""Settings for a machine with one processor: Docker refuses a container that may use more than there are."""

PROFILES = ("tls", "gpu", "monitoring")
FILES = ("docker-compose.yml", "infra/compose/vps.yml")
TAG = re.compile(r".+:v?\d+\.\d+[\w.-]*")
ONCE = {"setup"}
"""Services that end by themselves."""
OUTSIDE = {"caddy", "node"}
"""Services that listen beyond 127.0.0.1."""
AGENTS = ("code", "vision", "tts", "document")
CLOSED = ("data", "bell", "engine", "watch", *(f"agent-{name}" for name in AGENTS))
"""Networks without a way out."""
NEAR = {"runner", "prometheus", "vllm"}
"""All that an agent may share a network with."""


def as_written(file: str) -> dict[str, Any]:
    """Return a file as the Compose client reads it: merged, filled in, valid by its schema."""
    profiles = [word for name in PROFILES for word in ("--profile", name)]
    done = subprocess.run(
        [*client(), "--project-directory", ".", "--file", file, *profiles, "config"],
        cwd=ROOT,
        env=ONE_CPU,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def hardened() -> str:
    """Every service of every file and profile keeps the rules."""
    count = 0
    for file in FILES:
        services: dict[str, dict[str, Any]] = as_written(file)["services"]
        broken = [f"{file}: {name}: {wrong}" for name, made in services.items() for wrong in _wrong(name, made)]
        assert not broken, "\n".join(broken)
        count += len(services)
    return f"{count} services of {len(FILES)} files"


def apart() -> str:
    """Networks keep what must not meet apart."""
    made = as_written(FILES[0])
    members = {name: {s for s, it in made["services"].items() if name in _networks(it)} for name in made["networks"]}
    assert all(made["networks"][name].get("internal") for name in CLOSED), made["networks"]
    for name in AGENTS:
        shared = {other for zone in members.values() if name in zone for other in zone} - {name}
        assert shared <= NEAR, f"{name} shares a network with {shared - NEAR}"
    assert members["data"] <= {"database", "control"}, members["data"]
    assert members["bell"] <= {"redis", "control", "runner", "links"}, members["bell"]
    return f"{len(members)} networks, {len(CLOSED)} of them without a way out"


def _wrong(name: str, made: dict[str, Any]) -> Iterator[str]:
    user = str(made.get("user", "")).partition(":")[0]
    if not user.isdigit() or user == "0":
        yield f"user {user or 'of the image'}"
    if made.get("read_only") is not True:
        yield "its file system can be written"
    if made.get("cap_drop") != ["ALL"] or made.get("cap_add"):
        yield f"capabilities: {made.get('cap_drop')} dropped, {made.get('cap_add')} added"
    if "no-new-privileges:true" not in made.get("security_opt", []):
        yield "may gain privileges"
    if name not in ONCE and not made.get("healthcheck", {}).get("test"):
        yield "no health check"
    if missing := [limit for limit in ("mem_limit", "cpus", "pids_limit") if not made.get(limit)]:
        yield f"no {', '.join(missing)}"
    if float(made.get("cpus", 0)) > 1:
        yield f"does not start on one processor, it may use {made['cpus']}"
    if not TAG.fullmatch(made["image"]):
        yield f"image {made['image']} is not pinned"
    if name not in ONCE and made.get("restart") != "unless-stopped":
        yield "does not come back after a reboot"
    if name not in OUTSIDE and any(not str(port).startswith("127.0.0.1:") for port in made.get("ports", [])):
        yield f"ports {made['ports']}"
    if made.get("privileged") or made.get("network_mode", "none") != "none" or "docker.sock" in str(made):
        yield "reaches the host"


def _networks(made: dict[str, Any]) -> set[str]:
    return set(made.get("networks", {"default": None})) if made.get("network_mode") != "none" else set()
