"""``python -m concilium.workers <agent> --port N``: one agent service."""

import argparse
import logging
import sys

import uvicorn

from concilium import tracing
from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private
from concilium.keyring import check_files
from concilium.logs import configure
from concilium.workers.runtime.app import create_agent_app
from concilium.workers.runtime.limits import STOP_GRACE_S

KEEP_ALIVE_S = 75
"""Longer than callers keep an idle connection, so that none is closed just as it is used again."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; 2 when the agent cannot be served."""
    parser = argparse.ArgumentParser(prog="concilium.workers", description="Serve one agent of the mesh over A2A.")
    parser.add_argument("agent", help="name of a folder in agents/")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.INFO)
        # The A2A library's warnings quote requests.
        logging.getLogger("a2a").setLevel(logging.ERROR)
        check_files(home.keys)
        app = create_agent_app(home.catalog.agent(options.agent), home)
    except ConciliumError as error:
        print(f"{options.agent}: {error.detail}", file=sys.stderr)
        return 2
    with tracing.exporting(home.config.tracing, f"concilium-{options.agent}", home.config.runner.node):
        uvicorn.run(
            app,
            host=options.host,
            port=options.port,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(STOP_GRACE_S) + 1,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
