"""``python -m concilium.engine.embedded``: the embedded engine's server."""

import logging
import sys

import uvicorn

from concilium.contracts.config import LogConfig
from concilium.contracts.errors import ConciliumError
from concilium.engine.embedded.app import create_app
from concilium.engine.embedded.host import Host
from concilium.engine.embedded.settings import read_settings
from concilium.keyring import KeyFile
from concilium.logs import configure

STOP_S = 5
KEEP_ALIVE_S = 75
"""Longer than clients keep an idle connection, so that none is closed just as it is used again."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 when the model cannot be served, 2 when the command makes no sense."""
    settings = read_settings()
    configure(LogConfig(), libraries=logging.WARNING)
    secret = KeyFile(settings.secret.parent, settings.secret.stem)
    try:
        secret.accepted()
    except ConciliumError as error:
        print(error.detail, file=sys.stderr)
        return 2

    def end() -> None:
        server.should_exit = True

    host = Host(settings, end)
    config = uvicorn.Config(
        create_app(host, secret),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    server = uvicorn.Server(config)
    server.run()
    return 1 if host.failed else 0


if __name__ == "__main__":
    sys.exit(main())
