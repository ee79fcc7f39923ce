"""A mesh at home and machines on hosts of their own, which dial home over their wires."""

from dataclasses import dataclass

from concilium.contracts.base import JSON
from support.command import CONCILIUM
from support.hosts.host import Host
from support.rented import Landlord, Rented


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
