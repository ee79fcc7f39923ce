"""The ``concilium`` command: its groups and how it ends."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from concilium.cli.commands import (
    adapters,
    agents,
    ask,
    backup,
    costs,
    engine,
    keys,
    mesh,
    misc,
    models,
    nodes,
    service,
    tasks,
    trust,
)
from concilium.cli.commands.doctor import doctor
from concilium.cli.errors import FAILED, INTERRUPTED, USAGE, CliError
from concilium.cli.output import note
from concilium.cli.session import Session
from concilium.contracts.errors import ConciliumError, Invalid

app = typer.Typer(
    name="concilium",
    help="A council of AI agents on your own machines: one request in, several agents at work, one answer out.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="A mesh elsewhere, e.g. https://mesh.example.org.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="File with the API key; default: this home's.")] = None,
) -> None:
    """Remember the options that come before the command."""
    context.obj = Session(url, key_file)


for command in (
    mesh.up,
    mesh.down,
    mesh.status,
    mesh.logs,
    ask.ask,
    misc.gc,
    backup.backup,
    backup.restore,
    doctor,
    misc.version,
):
    app.command()(command)
app.add_typer(agents.app, name="agents")
app.add_typer(adapters.app, name="adapters")
app.add_typer(tasks.app, name="tasks")
app.add_typer(keys.app, name="keys")
app.add_typer(costs.app, name="costs")
app.add_typer(nodes.app, name="nodes")
app.add_typer(engine.app, name="engine")
app.add_typer(models.app, name="models")
app.add_typer(service.app, name="service")
app.add_typer(misc.config, name="config")
app.add_typer(trust.app, name="trust")


def main() -> None:
    """Run the command and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command and return its exit code; refusals are one or two lines on standard error."""
    try:
        app(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except CliError as error:
        return _refuse(error.message, error.hint, error.code)
    except ConciliumError as error:
        return _refuse(error.detail, "", USAGE if isinstance(error, Invalid) else FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _refuse(message: str, hint: str, code: int) -> int:
    note(f"error: {message}", style="red")
    if hint:
        note(hint)
    return code
