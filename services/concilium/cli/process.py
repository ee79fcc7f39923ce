"""One process of a mesh: what is run, and where it listens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Listen:
    """Where a process takes connections."""

    host: str
    port: int
    setting: str
    """The configuration value that moves it."""
    ready: str = "/ready"
    """The path that answers 200 once it takes work."""

    @property
    def url(self) -> str:
        """The address to reach it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"


@dataclass(frozen=True)
class Process:
    """One process of the mesh."""

    name: str
    argv: tuple[str, ...]
    listen: Listen | None = None
    socket: Path | None = None
    """The unix socket it takes connections on."""
    environ: Mapping[str, str] | None = None
    """Its whole environment; None: the supervisor's."""

    @property
    def address(self) -> str:
        """Where it is reached, for people; empty when nobody calls it."""
        return self.listen.url if self.listen else str(self.socket or "")
