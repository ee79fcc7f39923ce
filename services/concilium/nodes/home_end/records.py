"""Which agents of which nodes are behind which ports of this machine: ``run/nodes/<name>.json``, for the supervisor."""

import json
from collections.abc import Container
from contextlib import suppress

from concilium.home import Home
from concilium.keyring import write_private


class Records:
    """The records of a home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        home.node_records.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ports(self, name: str) -> dict[str, int]:
        """Return the ports a node's agents had; they are taken again where they are free, so that callers stay."""
        return self._home.node_ports().get(name, {})

    def write(self, name: str, ports: dict[str, int]) -> None:
        """Record a node's ports."""
        write_private(self._home.node_records / f"{name}.json", json.dumps(ports))

    def remove(self, name: str) -> None:
        """Forget a node."""
        with suppress(FileNotFoundError):
            (self._home.node_records / f"{name}.json").unlink()

    def keep_only(self, names: Container[str]) -> None:
        """Forget every node but these."""
        for name in self._home.node_ports():
            if name not in names:
                self.remove(name)
