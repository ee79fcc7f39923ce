"""Rented nodes: invitations, enrolments, who may claim, what they cost."""

from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select

from concilium.contracts.errors import Conflict, NotFound
from concilium.contracts.money import from_micros, to_micros
from concilium.contracts.nodes import Capabilities, Dial, Invitation, Node, NodeState, Seen
from concilium.contracts.prices import NodePrice
from concilium.ledger import schema
from concilium.ledger.codec import at, dumps, loads
from concilium.ledger.models import Refused
from concilium.ledger.tx import Tx

_n = schema.nodes.c
_ALL = select(*_n)
_BY_NAME = _ALL.where(_n.name == bindparam("name"))
_STATE = select(_n.state).where(_n.name == bindparam("name"))
_STATE_KEPT = _STATE.with_for_update(read=True)
_LIVE = frozenset({NodeState.ENROLLED, NodeState.DRAINING})
FORMER_S: Final = 300.0
"""How long a node's former key is taken after the new one was seen: its spare connections still show it."""


def invite(tx: Tx, wish: Invitation, invitation: str, valid_s: float) -> Node:
    """Open an invitation; one of the same name that was not used yet ends. Raises `Conflict` for a live node."""
    known = _find(tx, wish.name)
    if known is not None and known.state in _LIVE:
        raise Conflict(f"node '{wish.name}' is {known.state}; revoke it first, or choose another name")
    row: dict[str, Any] = {
        "name": wish.name, "state": NodeState.INVITED.value, "dial": wish.dial.value, "address": wish.address,
        "agents": dumps(list(wish.agents)), "labels": dumps(list(wish.labels)),
        "price_per_hour": None if wish.price_per_hour is None else to_micros(wish.price_per_hour),
        "capabilities": None, "invitation": invitation, "invited_until": tx.now + valid_s, "fingerprint": None,
        "former_fingerprint": None, "former_until": None,
        "certificate_until": None, "created_at": tx.now, "enrolled_at": None, "last_seen_at": None, "skew_s": None,
        "revoked_at": None, "refusals": 0, "last_refusal": "",
    }  # fmt: skip
    if known is None:
        tx.conn.execute(schema.nodes.insert(), [row])
    else:
        _change(tx, wish.name, **row)
    return get(tx.conn, wish.name)


def enrol(tx: Tx, name: str, invitation: str, fingerprint: str, until: float) -> Node | Refused:
    """Use an invitation up for one key. The same key may ask again: its answer may have been lost.

    A refusal is returned and not raised, so that what is noted of it is committed.
    """
    node = _find(tx, name)
    if node is None:
        return Refused(reason=f"no node '{name}' was invited")
    again = node.state in _LIVE and node.fingerprint == fingerprint and node.invitation == invitation
    reason = "" if again else _objection(node, invitation, tx.now)
    if reason:
        note_refusal(tx, name, reason)
        return Refused(reason=reason)
    if not again:
        enrolled = {"state": NodeState.ENROLLED.value, "enrolled_at": tx.now, "fingerprint": fingerprint}
        _change(tx, name, **enrolled)
    _change(tx, name, certificate_until=until)
    return get(tx.conn, name)


def _objection(node: Node, invitation: str, now: float) -> str:
    if node.invitation != invitation:
        return f"this token was replaced by a newer invitation of '{node.name}'"
    if node.state is NodeState.REVOKED:
        return f"node '{node.name}' was revoked"
    if node.state is not NodeState.INVITED:
        return f"this token was used already: '{node.name}' has enrolled with another key"
    if node.invited_until.timestamp() < now:
        return f"this token of '{node.name}' has expired"
    return ""


def renew(tx: Tx, name: str, shown: str, fingerprint: str, until: float) -> Node | Refused:
    """Note that a node gets a certificate for its next key. The key it showed stays good until the next was seen.

    The same may be asked again, with the former key: the answer may have been lost.
    """
    node = _find(tx, name)
    if node is None or node.state not in _LIVE or not node.has_key(shown, at(tx.now)):
        reason = f"'{name}' is not enrolled with this key"
        if node is not None:
            note_refusal(tx, name, reason)
        return Refused(reason=reason)
    if node.fingerprint != fingerprint:
        _change(tx, name, fingerprint=fingerprint, former_fingerprint=shown, former_until=None)
    _change(tx, name, certificate_until=until)
    return get(tx.conn, name)


def note_refusal(tx: Tx, name: str, reason: str) -> None:
    """Count that a token or key for a name was turned away; for a name that is not known, nothing."""
    again = schema.nodes.update().where(_n.name == name)
    tx.conn.execute(again.values(refusals=_n.refusals + 1, last_refusal=f"{at(tx.now):%Y-%m-%d %H:%M:%SZ} {reason}"))


def seen(tx: Tx, name: str, found: Seen) -> None:
    """Note what a node answered just now, and the end of its former key once it shows the new. Raises `NotFound`."""
    node = get(tx.conn, name)
    capabilities = found.capabilities.model_dump_json()
    if found.fingerprint == node.fingerprint and node.former_fingerprint is not None and node.former_until is None:
        _change(tx, name, former_until=tx.now + FORMER_S)
    _change(tx, name, capabilities=capabilities, skew_s=found.skew_s, last_seen_at=tx.now)


def drain(tx: Tx, name: str) -> Node:
    """Give a node nothing new. Raises `NotFound`, `Conflict` when it is not enrolled."""
    return _between(tx, name, NodeState.ENROLLED, NodeState.DRAINING)


def undrain(tx: Tx, name: str) -> Node:
    """Give a node work again. Raises `NotFound`, `Conflict` when it is not enrolled."""
    return _between(tx, name, NodeState.DRAINING, NodeState.ENROLLED)


def _between(tx: Tx, name: str, old: NodeState, new: NodeState) -> Node:
    node = get(tx.conn, name)
    if node.state not in {old, new}:
        raise Conflict(f"node '{name}' is {node.state}")
    _change(tx, name, state=new.value)
    return get(tx.conn, name)


def revoke(tx: Tx, name: str) -> Node:
    """End a node's rights: from this commit on it claims nothing and nothing of it is taken. Raises `NotFound`."""
    node = get(tx.conn, name)
    if node.state is not NodeState.REVOKED:
        _change(tx, name, state=NodeState.REVOKED.value, revoked_at=tx.now)
    return get(tx.conn, name)


def may_claim(tx: Tx, name: str) -> bool:
    """Whether a node may be given work now; a name that nobody invited is the machine at home.

    Where there are other writers the answer holds until the commit: a revocation waits for it.
    """
    found = tx.conn.execute(_STATE_KEPT if tx.shared else _STATE, {"name": name}).first()
    return found is None or found.state == NodeState.ENROLLED


def is_revoked(tx: Tx, name: str | None) -> bool:
    """Whether nothing that comes from a node is taken."""
    found = tx.conn.execute(_STATE, {"name": name}).first()
    return found is not None and found.state == NodeState.REVOKED


def price_of(conn: Connection, name: str) -> NodePrice | None:
    """Return the price that a node was invited at; None when none was stated."""
    found = conn.execute(select(_n.price_per_hour).where(_n.name == name)).first()
    if found is None or found.price_per_hour is None:
        return None
    return NodePrice(per_hour=from_micros(found.price_per_hour))


def get(conn: Connection, name: str) -> Node:
    """Return a node. Raises `NotFound`."""
    row = conn.execute(_BY_NAME, {"name": name}).first()
    if row is None:
        raise NotFound(f"no node '{name}'")
    return _node_of(row)


def list_all(conn: Connection) -> list[Node]:
    """Return every node, revoked ones too, by name."""
    return [_node_of(row) for row in conn.execute(_ALL.order_by(_n.name))]


def _find(tx: Tx, name: str) -> Node | None:
    row = tx.conn.execute(tx.locked(_BY_NAME), {"name": name}).first()
    return None if row is None else _node_of(row)


def _change(tx: Tx, name: str, /, **values: object) -> None:
    tx.conn.execute(schema.nodes.update().where(_n.name == name).values(**values))


def _node_of(row: "Row[*tuple[object, ...]]") -> Node:
    values = row._mapping
    moments = ("former_until", "certificate_until", "enrolled_at", "last_seen_at", "revoked_at")
    price, capabilities = values["price_per_hour"], values["capabilities"]
    return Node(
        name=values["name"],
        state=NodeState(values["state"]),
        dial=Dial(values["dial"]),
        address=values["address"],
        agents=tuple(loads(values["agents"])),
        labels=tuple(loads(values["labels"])),
        price_per_hour=None if price is None else from_micros(price),
        capabilities=None if capabilities is None else Capabilities.model_validate_json(capabilities),
        invitation=values["invitation"],
        invited_until=at(values["invited_until"]),
        fingerprint=values["fingerprint"],
        former_fingerprint=values["former_fingerprint"],
        created_at=at(values["created_at"]),
        skew_s=values["skew_s"],
        refusals=values["refusals"],
        last_refusal=values["last_refusal"],
        **{name: at(values[name]) if values[name] is not None else None for name in moments},
    )
