"""What the daemon says of the running containers, and what they can reach: judged from outside and from inside."""

import json
from collections.abc import Iterator
from typing import Any

from compose.stack import PROJECT, SERVICES, Stack
from compose.written import AGENTS

REACH = """
import concurrent.futures, json, socket, sys
def reached(place):
    try:
        socket.create_connection(tuple(place), 3).close()
        return True
    except OSError:
        return False
places = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(places)) as pool:
    print(json.dumps(list(pool.map(reached, places))))
"""
OUTSIDE = ("1.1.1.1", 443)
WITH_PYTHON = ("control", "runner", *AGENTS)


def hardened(stack: Stack) -> str:
    """The daemon gave the containers what the file asks for."""
    broken = [f"{service}: {wrong}" for service in SERVICES for wrong in _wrong(stack.inspect(service))]
    assert not broken, "\n".join(broken)
    return f"{len(SERVICES)} containers"


def secrets_kept(stack: Stack) -> str:
    """No secret is in what `docker inspect` shows or in a log."""
    values = {text for text in _secrets(stack) if len(text) > 20}
    assert len(values) >= 7, "the secrets were not found"
    for service in (*SERVICES, "setup"):
        shown = json.dumps(stack.inspect(service))
        written = stack.log(service, 100_000)
        assert not any(value in shown for value in values), f"{service}: docker inspect shows a secret"
        assert not any(value in written for value in values), f"{service}: its log holds a secret"
    return f"{len(values)} secrets, {len(SERVICES) + 1} containers and logs"


def secrets_checked(stack: Stack) -> str:
    """A process whose secret is not its own to read, or everybody's, does not start and says why."""
    image = stack.inspect("tts")["Config"]["Image"]
    keys = f"{PROJECT}_given-agents:/var/lib/concilium/keys:ro"
    base = ["run", "--rm", "--network", "none", "--volume", keys]
    done = stack.docker.run(*base, "--user", "10013:10099", image)
    assert done.returncode == 2, done
    assert b"uid 10013 may not enter" in done.stderr, done.stderr
    shell = (
        "mkdir -m 755 -p /tmp/home/keys && echo secret > /tmp/home/keys/mesh.key && chmod 644 /tmp/home/keys/mesh.key"
    )
    start = "exec python -m concilium.workers tts --port 8400"
    done = stack.docker.run(
        *base, "--env", "CONCILIUM_HOME=/tmp/home", image, "sh", "-c", f"{shell} && chmod 755 /tmp/home && {start}"
    )
    assert done.returncode == 2, done
    assert b"everybody may read" in done.stderr, done.stderr
    return "unreadable and world-readable refused, with owner and mode"


def apart(stack: Stack) -> str:
    """Nobody reaches what its zone does not hold, not even by address."""
    places = {
        "database": (stack.address("database", "data"), 5432),
        "redis": (stack.address("redis", "bell"), 6379),
        "control": (stack.address("control", "bell"), 8400),
        **{name: (stack.address(name, f"agent-{name}"), 8400) for name in AGENTS},
        "n8n": (stack.address("n8n", "edge"), 5678),
        "outside": OUTSIDE,
    }
    mine = {
        "control": {"database", "redis", "control", "n8n", "outside"},
        "runner": {"redis", "control", *AGENTS},
        **{name: {name} for name in AGENTS},
    }
    for service in WITH_PYTHON:
        asked = json.dumps(list(places.values()))
        status, said = stack.run(service, "python", "-c", REACH, asked)
        assert status == 0, said
        reached = {name for name, found in zip(places, json.loads(said), strict=True) if found}
        assert reached <= mine[service], f"{service} reaches {sorted(reached - mine[service])}"
        missed = mine[service] - reached - {"outside"}
        assert not missed, f"{service} does not reach {sorted(missed)}"
    return f"{len(WITH_PYTHON)} containers tried {len(places)} places"


def _wrong(found: dict[str, Any]) -> Iterator[str]:
    config, host = found["Config"], found["HostConfig"]
    if config["User"].partition(":")[0] in ("", "0", "root"):
        yield f"user {config['User']!r}"
    if not host["ReadonlyRootfs"] or host["Privileged"] or host["CapDrop"] != ["ALL"] or host["CapAdd"]:
        yield "not confined"
    if not any("no-new-privileges" in option for option in host["SecurityOpt"]):
        yield "may gain privileges"
    if not (host["Memory"] and host["NanoCpus"] and host["PidsLimit"]):
        yield "no limits"
    if not config.get("Healthcheck"):
        yield "no health check"
    for ports in (host["PortBindings"] or {}).values():
        if any(not port["HostIp"].startswith("127.") for port in ports):
            yield f"listens on {ports}"


def _secrets(stack: Stack) -> Iterator[str]:
    for path in (stack.volume("home") / "keys").glob("*.key"):
        yield path.read_text().strip()
    yield (stack.volume("given-database") / "password").read_text().strip()
