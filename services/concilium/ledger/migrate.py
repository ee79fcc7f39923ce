"""Bring a database to the newest schema. The scripts travel inside the package."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

_SCRIPTS = Path(__file__).resolve().parent / "migrations"
_LOCK = 0x636F6E63
"""Key of the PostgreSQL advisory lock that lets one replica migrate at a time."""

_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps the running migration in module globals."""


def configuration(conn: Connection) -> Config:
    """Return Alembic's configuration for this connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    return config


def upgrade(conn: Connection) -> None:
    """Run every missing migration inside the caller's transaction."""
    with _ONE_AT_A_TIME:
        _upgrade(conn)


def _upgrade(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    command.upgrade(configuration(conn), "head")
