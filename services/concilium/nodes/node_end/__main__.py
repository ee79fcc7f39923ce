"""``python -m concilium.nodes.node_end``: keep the link of a node that has joined."""

import sys

from concilium.contracts.errors import Unavailable
from concilium.home import Home
from concilium.nodes.node_end.link import NodeLink
from concilium.nodes.node_end.membership import membership
from concilium.nodes.node_end.service import Service
from concilium.nodes.process import run, until_terminated


async def serve(home: Home) -> None:
    """Serve until SIGTERM. Raises `Unavailable` unless this home is an enrolled node."""
    known = membership(home)
    if known is None or not known.enrolled:
        raise Unavailable(f"{home.root} is no enrolled node; `concilium nodes join TOKEN` makes it one")
    ports = {agent: home.agent_port(agent) for agent in known.joined.agents}
    await until_terminated(NodeLink(known, Service(known, ports, lambda: None)).run())


if __name__ == "__main__":
    sys.exit(run(serve))
