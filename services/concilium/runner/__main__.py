"""``python -m concilium.runner``: serve every agent of ``CONCILIUM_HOME`` from its queues.

With ``--node NAME --agent NAME=URL …`` it serves a rented node's agents, through home's end of the link.
"""

import argparse
import logging
import sys

from concilium import tracing
from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private
from concilium.logs import configure
from concilium.runner.served import served
from concilium.runner.worker import serve


def main() -> int:
    """Serve until SIGTERM; 2 when the home cannot be served, 75 when the consumer went deaf."""
    parser = argparse.ArgumentParser(prog="concilium.runner", description="Serve the agents of one node.")
    parser.add_argument("--node", default="")
    parser.add_argument("--agent", action="append", default=[], metavar="NAME=URL")
    options = parser.parse_args()
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.WARNING)
        with tracing.exporting(home.config.tracing, "concilium-runner", options.node or home.config.runner.node):
            return serve(home, served(home, options.node, options.agent))
    except ConciliumError as error:
        print(f"runner: {error.detail}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
