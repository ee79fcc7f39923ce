"""The ledger's rented nodes: one async method per operation."""

from concilium.contracts.errors import Conflict
from concilium.contracts.nodes import Invitation, Node, Seen
from concilium.ledger import evict, nodes
from concilium.ledger.models import Refused, Revoked, Ring
from concilium.ledger.opening import OpenLedger


class Fleet(OpenLedger):
    """Who was invited, who enrolled, who may still work."""

    async def invite_node(self, wish: Invitation, invitation: str, valid_s: float) -> Node:
        """Open an invitation for ``valid_s`` seconds. Raises `Conflict` when such a node is enrolled."""
        return await self._write(nodes.invite, wish, invitation, valid_s)

    async def enrol_node(self, name: str, invitation: str, fingerprint: str, until: float) -> Node:
        """Use an invitation up for a key; ``until`` is its certificate's end. Raises `Conflict`, which is recorded."""
        return _accepted(await self._write(nodes.enrol, name, invitation, fingerprint, until))

    async def renew_node(self, name: str, shown: str, fingerprint: str, until: float) -> Node:
        """Note a node's next key and its certificate's end. Raises `Conflict` unless it showed the key it has."""
        return _accepted(await self._write(nodes.renew, name, shown, fingerprint, until))

    async def node_seen(self, name: str, found: Seen) -> None:
        """Note what a node answered just now. Raises `NotFound`."""
        await self._write(nodes.seen, name, found)

    async def node_refused(self, name: str, reason: str) -> None:
        """Count that a peer was turned away that showed a token or a key for this name."""
        await self._write(nodes.note_refusal, name, reason)

    async def drain_node(self, name: str) -> Node:
        """Give a node nothing new; what it runs may end. Raises `NotFound`, `Conflict`."""
        return await self._write(nodes.drain, name)

    async def undrain_node(self, name: str) -> Node:
        """Give a drained node work again. Raises `NotFound`, `Conflict`."""
        return await self._write(nodes.undrain, name)

    async def revoke_node(self, name: str) -> Revoked:
        """End a node's rights and take its steps back. Raises `NotFound`; again is no error."""
        node, rings = await self._write(nodes.revoke, name), list[Ring]()
        # One transaction each: all at once could deadlock with claims. Nothing is taken from the node any more.
        for task_id, step, attempt in await self._read(evict.held_by, name):
            rings += await self._write(evict.take_away, name, task_id, step, attempt)
        return Revoked(node=node, rings=tuple(rings))

    async def get_node(self, name: str) -> Node:
        """Return a node. Raises `NotFound`."""
        return await self._look(nodes.get, name)

    async def list_nodes(self) -> list[Node]:
        """Return every node by name, revoked ones too."""
        return await self._read(nodes.list_all)


def _accepted(found: Node | Refused) -> Node:
    if isinstance(found, Refused):
        raise Conflict(found.reason)
    return found
