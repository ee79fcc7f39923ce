"""What every command shares: the home, the options given before the command, the client."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from concilium.cli.client import MeshClient
from concilium.cli.errors import CliError
from concilium.cli.process import Listen
from concilium.home import Home

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass
class Session:
    """One run of the command."""

    url: str | None = None
    key_file: Path | None = None

    @cached_property
    def home(self) -> Home:
        return Home.find()

    @cached_property
    def client(self) -> MeshClient:
        """The mesh that ``--url`` names, else the one of this home. Raises `CliError` when there is no key."""
        return MeshClient(self.url or self.local_url, self._key())

    @property
    def local_url(self) -> str:
        """Where this home's mesh listens."""
        gateway = self.home.config.gateway
        return Listen(gateway.host, gateway.port, "gateway.port").url

    def _key(self) -> str:
        path = self.key_file or self.home.keys / "admin.key"
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            hint = "name a key file with --key-file" if self.url or self.key_file else "`concilium up` writes it"
            raise CliError(f"no key in {path}", hint) from error
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"the key in {path} cannot be read: {error}") from error


def session(context: typer.Context) -> Session:
    """Return the session of a command's context."""
    found = context.obj
    assert isinstance(found, Session)  # noqa: S101 - the application's callback always sets it
    return found
