"""``service``: the mesh under systemd."""

from typing import Annotated

import typer

from concilium.cli.output import line, note, print_json
from concilium.cli.service import Service
from concilium.cli.session import AsJson, session

app = typer.Typer(help="Run the mesh as a systemd unit.", no_args_is_help=True)

System = Annotated[bool, typer.Option("--system", help="A unit of the machine, for root; default: of the user.")]


@app.command()
def install(
    context: typer.Context,
    *,
    system: System = False,
    show: Annotated[bool, typer.Option("--show", help="Print the unit and change nothing.")] = False,
) -> None:
    """Write a unit that starts the mesh at boot and after every crash; enable and start it."""
    service = Service(session(context).home, system)
    if show:
        line(service.text().rstrip())
        return
    left = service.install()
    line(f"Wrote {service.path}")
    for command in left:
        note(f"Now run: {command}")


@app.command()
def uninstall(context: typer.Context, *, system: System = False) -> None:
    """Stop the unit and remove it; the home stays."""
    service = Service(session(context).home, system)
    line(f"Removed {service.path}" if service.uninstall() else f"There is no {service.path}")


@app.command()
def status(context: typer.Context, *, system: System = False, as_json: AsJson = False) -> None:
    """Say whether the unit is installed and what systemd makes of it; exit code 1 unless it is active."""
    service = Service(session(context).home, system)
    installed, state = service.path.is_file(), service.state()
    current = installed and service.path.read_text(encoding="utf-8") == service.text()
    if as_json:
        print_json({"unit": str(service.path), "installed": installed, "current": current, "state": state})
    else:
        line(f"{service.path}: {state if installed else 'not installed'}")
        if installed and not current:
            note("It was written for another command, home or setting: `concilium service install` writes it anew")
    if state != "active" or not installed:
        raise typer.Exit(1)
