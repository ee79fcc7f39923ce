"""Home's end of every link: follows the list of nodes, so that the enrolled have their ports and no others have any."""

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Final

import structlog

from concilium.contracts.base import utc_now
from concilium.contracts.errors import ConciliumError
from concilium.contracts.nodes import Dial, Node, NodeState, split_address
from concilium.home import Home
from concilium.nodes.authority import Peer, Role
from concilium.nodes.home_end.care import Care
from concilium.nodes.home_end.control_plane import ControlPlane
from concilium.nodes.home_end.guest import Guest
from concilium.nodes.home_end.records import Records
from concilium.nodes.listener import Listener
from concilium.nodes.tls import Identity
from concilium.nodes.wire import Stream, dial, end_all

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.5
"""How soon a revocation cuts the link; what the node would still say is refused by the ledger before that."""
CALL_EVERY_S: Final = 2.0
"""How often a machine that was invited and listens is called."""
LIVE: Final = frozenset({NodeState.ENROLLED, NodeState.DRAINING})


class HomeLink:
    """Every link of a home."""

    def __init__(self, home: Home, control: ControlPlane) -> None:
        self._listen = home.config.nodes.listen
        self._control = control
        self._identity = Identity(home.keys, "link", "mesh-ca.pem")
        self._care = Care(control, home.keys)
        self._records = Records(home)
        self._nodes: dict[str, Node] = {}
        self._guests: dict[str, tuple[Guest, asyncio.Task[None]]] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._following = asyncio.Lock()

    async def run(self) -> None:
        """Keep all links until cancelled. Raises `Invalid` when ``nodes.listen`` cannot be listened on."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end)
            if self._listen:
                listener = Listener(self._identity, self._met)
                await stack.enter_async_context(listener.listening(*split_address(self._listen)))
            log.info("nodes.ready", listen=self._listen)
            while True:
                try:
                    await self._look()
                except ConciliumError as error:
                    log.info("nodes.unknown", detail=error.detail)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        """Take up what the ledger says now. Raises `Unavailable`."""
        async with self._following:
            await self._follow(await self._control.nodes())

    async def _follow(self, nodes: tuple[Node, ...]) -> None:
        """Make what there is what should be."""
        self._nodes = {node.name: node for node in nodes}
        for name, (guest, _) in list(self._guests.items()):
            if _same(guest.node, self._nodes.get(name)):
                guest.node = self._nodes[name]
            else:
                await self._drop(name)
        for node in nodes:
            if node.state in LIVE and node.name not in self._guests:
                await self._take_in(node)
        waiting = {node.invitation: node for node in nodes if _to_call(node)}
        for invitation in self._calls.keys() - waiting.keys():
            await end_all([self._calls.pop(invitation)])
        for invitation in waiting.keys() - self._calls.keys():
            self._calls[invitation] = asyncio.create_task(self._call(waiting[invitation]))
        self._records.keep_only(self._guests)

    async def _take_in(self, node: Node) -> None:
        guest = Guest(node, self._identity)
        ports = await guest.open_ports(self._records.ports(node.name))
        self._guests[node.name] = guest, asyncio.create_task(self._care.keep(guest))
        self._records.write(node.name, ports)
        log.info("nodes.in", node=node.name, ports=ports)

    async def _drop(self, name: str) -> None:
        guest, care = self._guests.pop(name)
        self._records.remove(name)
        await end_all([care])
        await guest.end()
        log.info("nodes.out", node=name)

    async def _met(self, stream: Stream, peer: Peer) -> None:
        """Take a connection that somebody with a certificate of this mesh has made."""
        if not self._expected(peer):
            await self._look()  # it may have enrolled, or been invited, just now
        if self._expected(peer):
            self._guests[peer.name][0].keep(stream)
            return
        try:
            await self._receive(stream, peer)
        finally:
            await stream.close()

    def _expected(self, peer: Peer) -> bool:
        return peer.name in self._guests and self._guests[peer.name][0].expects(peer)

    async def _receive(self, stream: Stream, peer: Peer) -> None:
        """Admit whom an invitation brings; turn everybody else away in words."""
        node = self._nodes.get(peer.name)
        if node is not None and peer.role is Role.INVITATION and peer.invitation == node.invitation:
            await self._care.admit(node, stream)
            return
        await self._care.turn_away(peer.name, stream, _why_not(node, peer))

    async def _call(self, node: Node) -> None:
        """Call a machine that was invited and listens, until it has enrolled."""
        while True:
            try:
                await self._call_once(node)
            except ConciliumError as error:
                log.debug("nodes.uncalled", node=node.name, detail=error.detail)
            except Exception:  # a full disk, too many open files: it may pass
                log.exception("nodes.call", node=node.name)
            await asyncio.sleep(CALL_EVERY_S * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret

    async def _call_once(self, node: Node) -> None:
        stream = await dial(split_address(node.address), self._identity)
        try:
            peer = stream.peer()
            if not self._expected(peer):
                await self._receive(stream, peer)
        finally:
            await stream.close()

    async def _end(self) -> None:
        await end_all([*self._calls.values(), *(care for _, care in self._guests.values())])
        for guest, _ in self._guests.values():
            await guest.end()


def _same(old: Node, new: Node | None) -> bool:
    """Whether a link to a node can go on as it is."""
    if new is None or new.state not in LIVE:
        return False
    return all(getattr(old, name) == getattr(new, name) for name in ("invitation", "dial", "address", "agents"))


def _to_call(node: Node) -> bool:
    """Whether a machine that listens may still show the invitation: it keeps doing so if home's answer was lost."""
    if node.dial is not Dial.HOME or node.invited_until <= utc_now():
        return False
    return node.state is NodeState.INVITED or (node.state in LIVE and node.last_seen_at is None)


def _why_not(node: Node | None, peer: Peer) -> str:
    if node is None:
        return f"no node '{peer.name}' is known here"
    if node.state is NodeState.REVOKED:
        return f"node '{node.name}' was revoked"
    if peer.role is Role.INVITATION:
        return f"this token was replaced by a newer invitation of '{node.name}'"
    if peer.role is Role.NODE:
        return f"node '{node.name}' is not enrolled with this key"
    return "only nodes are met here"
