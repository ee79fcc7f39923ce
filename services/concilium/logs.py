"""Structured logs of every process: one JSON object a line on standard error, ids only, no secrets."""

import logging
import sys

import structlog

from concilium.contracts.config import LogConfig


def configure(config: LogConfig, *, libraries: int) -> None:
    """Send the logs of this process to standard error, as JSON lines or for people.

    Args:
        config: level and form.
        libraries: the lowest level (of `logging`) at which libraries speak; never below the configured one.
    """
    level = logging.getLevelNamesMapping().get(config.level.upper(), logging.INFO)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if config.json_lines else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    _adopt_standard_logging(max(level, libraries), shared, renderer)


def _adopt_standard_logging(
    level: int, shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor
) -> None:
    """Give libraries' log records the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
