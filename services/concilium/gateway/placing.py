"""Keeps the view of the nodes fresh that brain and claims share: home as configured, rented ones as in the ledger."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from concilium.contracts.base import utc_now
from concilium.contracts.errors import ConciliumError
from concilium.contracts.nodes import Node, NodeState
from concilium.contracts.placement import Placement, Site, home_sites
from concilium.gateway.state import Gateway
from concilium.home import Home

LOOK_EVERY_S: Final = 1.0
ALIVE: Final = timedelta(seconds=30)
"""A node that has not answered home for so long is given nothing until it does."""
GPU_LABEL: Final = "gpu"
"""Given to every node that says it has one."""
_OF_THE_MESH = frozenset({NodeState.ENROLLED, NodeState.DRAINING})

log = structlog.get_logger("concilium.placing")


def placement_of(home: Home, nodes: Iterable[Node] = (), now: datetime | None = None) -> Placement:
    """Return who may take what at a moment. Raises `Invalid` for a rule that makes no sense."""
    moment = now or utc_now()
    rented = (_site(node, moment) for node in nodes if node.state in _OF_THE_MESH)
    return Placement(home.config.placement.rules, (*home_sites(home.config), *rented), home.catalog)


async def look(gateway: Gateway) -> None:
    """Take the nodes as they are now."""
    fresh = placement_of(gateway.home, await gateway.ledger.list_nodes(), gateway.ledger.now())
    if fresh.sites != gateway.placed.current.sites:
        gateway.placed.current = fresh
        log.info("nodes", nodes=[site.node for site in fresh.sites], alive=[s.node for s in fresh.sites if s.alive])


async def keep_placed(gateway: Gateway) -> None:
    """Look again and again, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            await look(gateway)
        except ConciliumError as error:
            log.warning("nodes unknown", detail=error.detail)


def _site(node: Node, now: datetime) -> Site:
    gpu = node.capabilities is not None and bool(node.capabilities.gpus)
    running = node.capabilities.running if node.capabilities is not None else None
    down = frozenset(node.agents) - frozenset(running) if running is not None else frozenset[str]()
    fresh = node.last_seen_at is not None and now - node.last_seen_at < ALIVE
    labels = frozenset(node.labels) | ({GPU_LABEL} if gpu else frozenset())
    return Site(node.name, False, frozenset(node.agents), labels, alive=node.takes_work and fresh, down=down)
