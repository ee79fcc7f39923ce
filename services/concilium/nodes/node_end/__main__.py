"""``python -m concilium.nodes.node_end``: keep the link of a node that has joined."""

import asyncio
import logging
import signal
import sys

from concilium.contracts.errors import ConciliumError, Unavailable
from concilium.home import Home, keep_private
from concilium.logs import configure
from concilium.nodes.node_end.link import NodeLink
from concilium.nodes.node_end.membership import membership
from concilium.nodes.node_end.service import Service


async def serve(home: Home) -> None:
    """Serve until SIGTERM. Raises `Unavailable` unless this home is an enrolled node."""
    known = membership(home)
    if known is None or not known.enrolled:
        raise Unavailable(f"{home.root} is no enrolled node; `concilium nodes join TOKEN` makes it one")
    ports = {agent: home.agent_port(agent) for agent in known.joined.agents}
    link = asyncio.create_task(NodeLink(known, Service(known, ports, lambda: None)).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, link.cancel)
    try:
        await link
    except asyncio.CancelledError:
        return


def main() -> int:
    """Keep the link; 2 when this home cannot have one."""
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.WARNING)
        asyncio.run(serve(home))
    except ConciliumError as error:
        print(f"link: {error.detail}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
