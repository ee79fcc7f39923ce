"""Bring a database to the newest schema. The scripts travel inside the package."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from concilium.contracts.errors import Unavailable

SCRIPTS = Path(__file__).resolve().parent / "migrations"
_LOCK = 0x636F6E63
"""Key of the PostgreSQL advisory lock that lets one replica migrate at a time."""

_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps the running migration in module globals."""


class MigrationFailed(Unavailable):
    """A migration broke off; the database is as it was."""


def configuration(conn: Connection | None = None) -> Config:
    """Return Alembic's configuration, for a connection when one is given."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if conn is not None:
        config.attributes["connection"] = conn
    return config


def newest() -> str:
    """Return the schema revision this program works with."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None  # noqa: S101 - the package has at least one migration
    return head


def known() -> frozenset[str]:
    """Return every schema revision this program can start from."""
    scripts = ScriptDirectory.from_config(configuration())
    return frozenset(script.revision for script in scripts.walk_revisions())


def revision(conn: Connection) -> str | None:
    """Return the schema revision of a database; None for an empty one."""
    return MigrationContext.configure(conn).get_current_revision()


def check_known(found: str | None) -> None:
    """Raise `Unavailable` when a schema revision is newer than this program."""
    if found is not None and found not in known():
        raise Unavailable(
            f"the ledger has schema {found}, and this program knows schemas up to {newest()}: it was written by a "
            "newer concilium. Install that version again, or restore a backup made with this one"
        )


def upgrade(conn: Connection) -> None:
    """Run every missing migration inside the caller's transaction, which the caller must undo on an error.

    Raises:
        Unavailable: the database was written by a newer program.
        MigrationFailed: a migration broke off.
    """
    with _ONE_AT_A_TIME:
        _upgrade(conn)


def _upgrade(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    before = revision(conn)
    check_known(before)
    target = newest()
    if before == target:
        return
    try:
        command.upgrade(configuration(conn), "head")
    except Exception as error:
        raise MigrationFailed(
            f"the ledger could not be brought from schema {before or 'none'} to {target} ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:300] if str(error) else 'no message'}). Nothing was changed: start the "
            "concilium you had before, and report this"
        ) from error
