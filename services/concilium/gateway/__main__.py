"""``python -m concilium.gateway``: run the control plane of ``CONCILIUM_HOME``."""

import logging
import socket
import sys

import uvicorn

from concilium import tracing
from concilium.contracts.errors import ConciliumError
from concilium.gateway.app import create_app
from concilium.gateway.state import Gateway
from concilium.home import Home, keep_private
from concilium.keyring import check_files
from concilium.ledger.tx import AdvanceFn
from concilium.logs import configure

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter while another wants it. The ledger's writer works in short bursts; at the
default of 5 ms the event loop would stand still through them."""
GRACE_S = 5
"""How long running requests may take to end once the server is asked to stop."""
KEEP_ALIVE_S = 75


class Server(uvicorn.Server):
    """A server that ends open event streams when it is asked to stop, instead of waiting for them."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, then the connections, then the app."""
        self._gateway.closing.set()
        await super().shutdown(sockets)


def make_server(home: Home, advance: AdvanceFn | None = None) -> Server:
    """Return the configured server of a home's control plane; the arguments are `create_app`'s."""
    app = create_app(home, advance)
    config = uvicorn.Config(
        app,
        host=home.config.gateway.host,
        port=home.config.gateway.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    return Server(config, app.state.gateway)


def serve(home: Home, advance: AdvanceFn | None = None) -> None:
    """Run the control plane of a home until a signal; the arguments are `create_app`'s."""
    with tracing.exporting(home.config.tracing, "concilium-control", home.config.runner.node):
        make_server(home, advance).run()


def main() -> int:
    """Run until a signal; 2 when the home cannot be served."""
    keep_private()
    home = Home.find()
    try:
        configure(home.config.log, libraries=logging.INFO)
        check_files(home.keys)
        sys.setswitchinterval(SWITCH_S)
        serve(home)
    except ConciliumError as error:
        print(f"control plane: {error.detail}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
