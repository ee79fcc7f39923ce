"""``gc``, ``config show``, ``version``."""

import platform
from importlib import metadata

import typer
import yaml

from concilium.cli.output import line, print_json, size
from concilium.cli.session import AsJson, session

config = typer.Typer(help="Look at the configuration.", no_args_is_help=True)


def gc(context: typer.Context, as_json: AsJson = False) -> None:
    """Remove tasks, events and files older than retention in the configuration allows."""
    report = session(context).client.call("POST", "/v1/gc")
    if as_json:
        print_json(report)
        return
    for name, value in report.items():
        line(f"{name}: {size(value) if name.endswith('bytes') else value}")


@config.command("show")
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Print every value in force: mesh.yaml with the environment's overrides."""
    values = session(context).home.config.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    line(yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())


def version(as_json: AsJson = False) -> None:
    """Print the version."""
    number = metadata.version("concilium")
    if as_json:
        print_json({"version": number, "python": platform.python_version(), "platform": platform.platform()})
        return
    line(f"concilium {number} on Python {platform.python_version()}")
