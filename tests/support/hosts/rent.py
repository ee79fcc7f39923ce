"""A mesh at home and machines on hosts of their own, which dial home over their wires."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from concilium.contracts.base import JSON
from support.command import CONCILIUM, Mesh, free_ports
from support.hosts.host import Host
from support.rented import MANIFEST, SKILLS, Landlord, Rented


@dataclass
class FarRented(Rented):
    """A machine on a host."""

    host: Host | None = None
    before: tuple[str, ...] = ()
    """The command that its own command runs behind."""

    def join(self, *arguments: str) -> None:
        """Run ``concilium nodes join`` there."""
        assert self.host is not None
        with self.log.open("ab") as log:
            command = (*self.before, CONCILIUM, "nodes", "join", *arguments)
            self.process = self.host.start(*command, environ=self.environ, log=log)


@dataclass
class FarLandlord(Landlord):
    """Home, which meets nodes at any of its addresses."""

    def far_machine(self, name: str, host: Host, before: tuple[str, ...] = ()) -> FarRented:
        """Return a machine on a host, which has not joined."""
        plain = self.machine(name)
        self.rented.remove(plain)
        far = FarRented(plain.name, plain.root, plain.environ, plain.log, host=host, before=before)
        self.rented.append(far)
        return far

    def far_token(self, name: str, host: Host) -> str:
        """Return a token for a machine on a host."""
        address = f"{host.home_address}:{self.meeting}"
        body: dict[str, JSON] = {"name": name, "dial": "node", "address": address, "agents": ["bell"]}
        made = self.call("POST", "/v1/nodes", body)
        assert isinstance(made, dict)
        return str(made["token"])

    def rent_far(self, name: str, host: Host, before: tuple[str, ...] = ()) -> FarRented:
        """Return a machine on a host that has joined and works."""
        machine = self.far_machine(name, host, before)
        machine.join(self.far_token(name, host))
        self.working(machine)
        return machine

    def end(self, machine: Rented) -> None:
        """Let a machine go."""
        self.call("DELETE", f"/v1/nodes/{machine.name}")
        machine.stop()


@contextlib.contextmanager
def far_landlord() -> Iterator[FarLandlord]:
    """Yield a started mesh that meets nodes; stop it and all that joined at the end."""
    with tempfile.TemporaryDirectory(prefix="rent-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        home, gates, first = folder / "home", folder / "gates", free_ports(2)
        gates.mkdir()
        agent = home / "agents" / "bell"
        agent.mkdir(parents=True)
        (agent / "agent.yaml").write_text(MANIFEST)
        (agent / "skills.py").write_text(SKILLS)
        plain = {key: value for key, value in os.environ.items() if not key.startswith("CONCILIUM_")}
        own = {
            "HOME": str(home),
            "GATEWAY__PORT": str(first),
            "AGENTS__START": "[]",
            "NODES__LISTEN": f"0.0.0.0:{first + 1}",
            "LEDGER__LEASE_TTL_S": "4",
        }
        mesh = Mesh(home, plain | {f"CONCILIUM_{key}": value for key, value in own.items()})
        place = FarLandlord(mesh, f"http://127.0.0.1:{first}", first + 1, gates, folder)
        try:
            up = mesh.run("up")
            assert up.returncode == 0, up.stderr
            yield place
        finally:
            for machine in place.rented:
                machine.stop()
            mesh.run("down")
