"""``python -m concilium.cli.links``: home's end of the links to rented nodes, and a runner for each node.

For a home whose other processes are kept by others, as in Docker Compose; `concilium up` keeps these among the rest.
"""

import asyncio
import sys
from contextlib import suppress

from concilium.cli import supervisor
from concilium.cli.processes import node_processes
from concilium.home import Home

ALIVE = "links.alive"
"""A file in the home's `run`, touched every few seconds: there is no port to ask."""
ALIVE_EVERY_S = 5.0


async def _sign(home: Home) -> None:
    while True:
        with suppress(OSError):  # a full disk: the mark grows old until there is space
            (home.run / ALIVE).touch()
        await asyncio.sleep(ALIVE_EVERY_S)


if __name__ == "__main__":
    sys.exit(supervisor.main(_sign, node_processes))
