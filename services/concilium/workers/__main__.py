"""``python -m concilium.workers <agent> --port N``: one agent service."""

import argparse
import logging
import sys

import structlog
import uvicorn

from concilium.contracts.errors import ConciliumError
from concilium.home import Home, keep_private
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
        _configure_logs(home.config.log.level, home.config.log.json_lines)
        app = create_agent_app(home.catalog.agent(options.agent), home)
    except ConciliumError as error:
        print(f"{options.agent}: {error.detail}", file=sys.stderr)
        return 2
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


def _configure_logs(level: str, json_lines: bool) -> None:
    """Log to stderr; the SDK's own log is cut to errors, because its warnings quote requests."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=number, handlers=[handler], force=True)
    logging.getLogger("a2a").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
