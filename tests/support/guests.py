"""Machines that were invited into a mesh, without the mesh."""

from collections.abc import Callable
from datetime import timedelta

from concilium.contracts.base import utc_now
from concilium.contracts.nodes import Dial, Node, NodeState
from concilium.nodes.node_end.membership import Membership
from support.agents import free_port

Invite = Callable[..., tuple[Node, str]]
Enrol = Callable[..., Membership]


def invited(name: str = "vps-1", dial: Dial = Dial.HOME, valid_s: float = 3600, address: str = "") -> Node:
    return Node(
        name=name,
        state=NodeState.INVITED,
        dial=dial,
        address=address or f"127.0.0.1:{free_port()}",
        agents=("code",),
        invitation=f"inv_{name}",
        invited_until=utc_now() + timedelta(seconds=valid_s),
        created_at=utc_now(),
    )
