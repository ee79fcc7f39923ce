"""Home's end of the links over real sockets, with a list of nodes in the control plane's place."""

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from concilium.contracts.base import utc_now
from concilium.contracts.nodes import Dial, Enrolment, Node, NodeState, Seen
from concilium.home import Home
from concilium.keyring import write_private
from concilium.nodes import authority as authority_room
from concilium.nodes.authority import NODE_LIFE, Authority, fingerprint_of, requested_key
from concilium.nodes.home_end import care
from concilium.nodes.home_end.control_plane import ControlPlane
from concilium.nodes.home_end.guest import AWAY
from concilium.nodes.home_end.link import HomeLink
from concilium.nodes.node_end.enrol import enrol as enrol_at_home
from concilium.nodes.node_end.link import NodeLink
from concilium.nodes.node_end.membership import KEY_LIFE_S, Membership
from concilium.nodes.node_end.service import Service
from concilium.nodes.tls import Identity
from concilium.nodes.wire import PeerRefused, dial, end_all
from support.guests import Enrol, echo
from support.ports import free_port

WITHIN_S = 60.0


@dataclass
class Plane:
    """The control plane's part, in memory."""

    authority: Authority
    known: dict[str, Node] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """Fingerprints of the keys that nodes showed, one for each time they were seen."""

    async def nodes(self) -> tuple[Node, ...]:
        return tuple(self.known.values())

    async def certify(self, name: str, wish: Enrolment) -> str:
        key = requested_key(wish.csr)
        node = self.known[name]
        shown = wish.fingerprint or fingerprint_of(key)
        if node.state is not NodeState.INVITED and not node.has_key(shown, utc_now()):
            self.refusals.append(name)
            raise PeerRefused("this token was used already")
        pem, until = self.authority.certify_node(name, key)
        self.change(name, state=NodeState.ENROLLED, certificate_until=until)
        if node.fingerprint != fingerprint_of(key):
            self.change(name, fingerprint=fingerprint_of(key), former_fingerprint=wish.fingerprint)
        return pem

    async def seen(self, name: str, found: Seen) -> None:
        self.shown.append(found.fingerprint)
        self.change(name, capabilities=found.capabilities, skew_s=found.skew_s, last_seen_at=utc_now())

    async def turned_away(self, name: str, reason: str) -> None:
        self.refusals.append(name)

    def change(self, name: str, **values: Any) -> None:
        self.known[name] = self.known[name].model_copy(update=values)

    def take_in(self, machine: Membership) -> None:
        """List a machine as one that has enrolled."""
        joined = machine.joined
        key = requested_key(machine.signing_request().csr)
        self.known[joined.name] = Node(
            name=joined.name,
            state=NodeState.ENROLLED,
            dial=joined.dial,
            address=joined.address,
            agents=joined.agents,
            invitation=joined.invitation,
            invited_until=joined.until,
            fingerprint=fingerprint_of(key),
            created_at=utc_now(),
        )


@dataclass
class Place:
    """A home with its end of the links running."""

    home: Home
    plane: Plane
    meeting: int

    async def port(self, name: str) -> int:
        """Return the port behind which a node's agent is, once there is one."""
        await until(lambda: name in self.home.node_ports())
        return self.home.node_ports()[name]["code"]


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if so():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*works: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        await end_all(cast("list[asyncio.Task[None]]", tasks))


@pytest.fixture
async def place(authority: Authority, tmp_path: Path) -> AsyncIterator[Place]:
    meeting = free_port()
    home = Home(tmp_path / "home", {"CONCILIUM_NODES__LISTEN": f"127.0.0.1:{meeting}"})
    plane = Plane(authority)
    async with running(HomeLink(home, cast("ControlPlane", plane)).run()):
        yield Place(home, plane, meeting)


async def said_back(port: int, data: bytes) -> bytes:
    """Return what an agent behind a port of home says to some bytes, or what home says in its place."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(WITHIN_S):
            return await reader.readexactly(len(data))
    except asyncio.IncompleteReadError as error:
        return error.partial
    finally:
        writer.close()


async def answers(port: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await said_back(port, b"x" * 1000) == b"x" * 1000:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("dial_from", list(Dial))
async def test_an_agent_is_reached_behind_a_port_of_home_until_its_node_is_revoked(
    place: Place, enrol: Enrol, dial_from: Dial
) -> None:
    address = f"127.0.0.1:{place.meeting}" if dial_from is Dial.NODE else ""
    machine = enrol(dial=dial_from, address=address)
    place.plane.take_in(machine)
    port = await place.port("vps-1")
    async with echo() as agent, running(NodeLink(machine, Service(machine, {"code": agent}, lambda: None)).run()):
        await answers(port)
        await until(lambda: place.plane.known["vps-1"].capabilities is not None)
        several = [said_back(port, bytes([number]) * 200_000) for number in range(20)]
        for number, found in enumerate(await asyncio.gather(*several)):
            assert found == bytes([number]) * 200_000
        # A stream is open when the node is revoked: it is cut.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"open")
        assert await reader.readexactly(4) == b"open"
        place.plane.change("vps-1", state=NodeState.REVOKED)
        async with asyncio.timeout(WITHIN_S):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        await until(lambda: not place.home.node_ports())
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_node_that_is_away_is_a_503_and_its_port_is_the_same_when_it_comes(place: Place, enrol: Enrol) -> None:
    machine = enrol()
    place.plane.take_in(machine)
    port = await place.port("vps-1")
    assert await said_back(port, b"y" * len(AWAY)) == AWAY
    async with echo() as agent, running(NodeLink(machine, Service(machine, {"code": agent}, lambda: None)).run()):
        await answers(port)
    assert await place.port("vps-1") == port


async def test_another_key_at_a_nodes_address_is_not_taken_for_it(place: Place, enrol: Enrol) -> None:
    machine = enrol()
    place.plane.take_in(machine)
    place.plane.change("vps-1", fingerprint="0" * 64)
    port = await place.port("vps-1")
    async with echo() as agent, running(NodeLink(machine, Service(machine, {"code": agent}, lambda: None)).run()):
        assert await said_back(port, b"z" * len(AWAY)) == AWAY


@pytest.mark.parametrize("dial_from", list(Dial))
async def test_a_machine_enrols_with_a_token_and_home_keeps_the_secret_of_its_agents(
    place: Place, enrol: Enrol, dial_from: Dial
) -> None:
    address = f"127.0.0.1:{place.meeting}" if dial_from is Dial.NODE else ""
    machine = enrol(dial=dial_from, address=address, signed=False)
    place.plane.take_in(machine)
    place.plane.change("vps-1", state=NodeState.INVITED, fingerprint=None)
    async with asyncio.timeout(WITHIN_S):
        await enrol_at_home(machine)
    assert machine.enrolled
    assert place.home.secret("node-vps-1") == machine.signing_request().agent_key
    assert place.plane.refusals == []


@pytest.mark.parametrize("dial_from", list(Dial))
async def test_a_full_disk_at_home_delays_joining_and_renewal_and_ends_neither(
    place: Place, enrol: Enrol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dial_from: Dial
) -> None:
    refused: list[Path] = []

    def full_at_first(path: Path, text: str) -> None:
        if not refused:
            refused.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        write_private(path, text)

    monkeypatch.setattr(care, "write_private", full_at_first)
    monkeypatch.setattr(care, "CARE_EVERY_S", 0.05)
    address = f"127.0.0.1:{place.meeting}" if dial_from is Dial.NODE else ""
    machine = enrol(dial=dial_from, address=address, signed=False)
    place.plane.take_in(machine)
    place.plane.change("vps-1", state=NodeState.INVITED, fingerprint=None)
    with monkeypatch.context() as days_ago:
        days_ago.setattr(authority_room, "utc_now", lambda: utc_now() - timedelta(days=3))
        async with asyncio.timeout(WITHIN_S):
            await enrol_at_home(machine)
    assert refused
    refused.clear()
    shown = tmp_path / "vps-1" / "keys" / "node.pem"
    old = shown.read_bytes()
    async with running(NodeLink(machine, Service(machine, {}, lambda: None)).run()):
        await until(lambda: bool(refused) and shown.read_bytes() != old)
        place.plane.change("vps-1", capabilities=None)
        await until(lambda: place.plane.known["vps-1"].capabilities is not None)


@pytest.mark.parametrize("dial_from", list(Dial))
async def test_a_node_that_shows_an_old_certificate_is_given_another_though_one_was_signed_and_lost(
    place: Place, enrol: Enrol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dial_from: Dial
) -> None:
    address = f"127.0.0.1:{place.meeting}" if dial_from is Dial.NODE else ""
    with monkeypatch.context() as days_ago:
        days_ago.setattr(authority_room, "utc_now", lambda: utc_now() - timedelta(days=3))
        machine = enrol(dial=dial_from, address=address)
    place.plane.take_in(machine)
    place.plane.change("vps-1", certificate_until=utc_now() + NODE_LIFE)
    shown = tmp_path / "vps-1" / "keys" / "node.pem"
    old = shown.read_bytes()
    async with running(NodeLink(machine, Service(machine, {}, lambda: None)).run()):
        await until(lambda: shown.read_bytes() != old)


@pytest.mark.parametrize("dial_from", list(Dial))
async def test_certificates_that_cannot_be_read_for_a_while_delay_joining_and_do_not_end_it(
    place: Place, enrol: Enrol, monkeypatch: pytest.MonkeyPatch, dial_from: Dial
) -> None:
    reading = Identity.context
    refused: list[bool] = []

    def refused_at_first(self: Identity, *, listens: bool) -> ssl.SSLContext:
        if not listens and len(refused) < 2:
            refused.append(listens)
            raise OSError(errno.EMFILE, "Too many open files")
        return reading(self, listens=listens)

    monkeypatch.setattr(Identity, "context", refused_at_first)
    address = f"127.0.0.1:{place.meeting}" if dial_from is Dial.NODE else ""
    machine = enrol(dial=dial_from, address=address, signed=False)
    place.plane.take_in(machine)
    place.plane.change("vps-1", state=NodeState.INVITED, fingerprint=None)
    async with asyncio.timeout(WITHIN_S):
        await enrol_at_home(machine)
    assert len(refused) == 2


@pytest.mark.parametrize("dial_from", list(Dial))
async def test_an_old_key_is_exchanged_with_its_certificate_and_no_connection_is_cut(
    place: Place, enrol: Enrol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dial_from: Dial
) -> None:
    monkeypatch.setattr(care, "CARE_EVERY_S", 0.05)
    address = f"127.0.0.1:{place.meeting}" if dial_from is Dial.NODE else ""
    with monkeypatch.context() as days_ago:
        days_ago.setattr(authority_room, "utc_now", lambda: utc_now() - timedelta(days=3))
        machine = enrol(dial=dial_from, address=address)
    place.plane.take_in(machine)
    old, made = place.plane.known["vps-1"].fingerprint, tmp_path / "vps-1" / "keys" / "node.key"
    os.utime(made, times=(0, time.time() - KEY_LIFE_S - 1))
    async with echo() as agent, running(NodeLink(machine, Service(machine, {"code": agent}, lambda: None)).run()):
        reader, writer = await asyncio.open_connection("127.0.0.1", await place.port("vps-1"))
        await until(lambda: place.plane.shown[-1:] not in ([], [old]))
        node = place.plane.known["vps-1"]
        assert (node.fingerprint, node.former_fingerprint) == (place.plane.shown[-1], old)
        writer.write(b"alive")
        assert await reader.readexactly(5) == b"alive"
        writer.close()
        await answers(await place.port("vps-1"))
    assert place.plane.refusals == []
    # The new key stays until it is old in turn.
    assert fingerprint_of(requested_key(machine.signing_request().csr)) == node.fingerprint


async def test_a_second_machine_with_the_same_token_is_told_why_not_once(place: Place, enrol: Enrol) -> None:
    machine = enrol(dial=Dial.NODE, address=f"127.0.0.1:{place.meeting}", signed=False)
    place.plane.take_in(machine)
    place.plane.change("vps-1", fingerprint="0" * 64)
    with pytest.raises(PeerRefused, match="used already"):
        async with asyncio.timeout(WITHIN_S):
            await enrol_at_home(machine)
    assert place.plane.refusals == ["vps-1"]
    assert not machine.enrolled


async def test_a_revoked_nodes_key_is_turned_away_in_words(place: Place, enrol: Enrol) -> None:
    machine = enrol(dial=Dial.NODE, address=f"127.0.0.1:{place.meeting}")
    place.plane.take_in(machine)
    place.plane.change("vps-1", state=NodeState.REVOKED)
    await until(lambda: _listens(place.meeting))
    stream = await dial(("127.0.0.1", place.meeting), machine.identity)
    assert await stream.hear(WITHIN_S) == "refused node 'vps-1' was revoked"
    await stream.close()
    await until(lambda: place.plane.refusals == ["vps-1"])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_replaced_certificate_is_shown_on_the_next_connection(authority: Authority) -> None:
    home = Identity(authority.folder, "link", "mesh-ca.pem")
    before = home.context(listens=False)
    assert home.context(listens=False) is before
    (authority.folder / "link.pem").unlink()
    authority.ensure()
    assert home.context(listens=False) is not before
