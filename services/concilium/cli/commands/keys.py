"""``keys``: who may call the mesh."""

from datetime import datetime
from typing import Annotated

import typer

from concilium.cli.errors import USAGE, CliError
from concilium.cli.output import line, note, print_json, table
from concilium.cli.session import AsJson, session
from concilium.contracts.base import JSON

app = typer.Typer(help="Create, list, rotate and revoke keys.", no_args_is_help=True)

SCOPES = ("tasks:read", "tasks:write", "nodes", "admin")
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    scope: Annotated[list[str] | None, typer.Option("--scope", "-s", help=f"Repeatable: {', '.join(SCOPES)}.")] = None,
    days: Annotated[float | None, typer.Option(min=0.0001, help="Days until it expires; absent: never.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Requests a minute.")] = None,
    budget: Annotated[str | None, typer.Option(help="What its tasks may cost a month; absent: no limit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key; its secret is shown this once."""
    scopes = scope or ["tasks:read", "tasks:write"]
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise CliError(f"no scope {', '.join(unknown)}", f"scopes: {', '.join(SCOPES)}", code=USAGE)
    body: dict[str, JSON] = {"name": name, "scopes": scopes}
    if days is not None:
        body["expires_in_s"] = days * DAY_S
    if rate is not None:
        body["rate_per_minute"] = rate
    if budget is not None:
        body["budget"] = budget
    made = session(context).client.call("POST", "/v1/keys", body)
    if as_json:
        print_json(made)
        return
    line(made["secret"])
    note("The secret is shown this once; the mesh keeps only its hash.")


@app.command("list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    found = session(context).client.call("GET", "/v1/keys")
    if as_json:
        print_json(found)
        return
    rows = (
        (
            key["id"],
            key["name"],
            " ".join(key["scopes"]),
            key["budget"] or "",
            _day(key["created_at"]),
            "revoked" if key["revoked_at"] else _day(key["expires_at"]) or "never",
        )
        for key in found["keys"]
    )
    table(("key", "name", "scopes", "budget", "created", "ends"), rows, empty="No keys yet.")


@app.command("budget")
def set_budget(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY")],
    amount: Annotated[str, typer.Argument(help="What its tasks may cost a month, or `none`.")],
) -> None:
    """Set what the tasks of a key may cost a month; what is under way ends in any case."""
    limit = None if amount == "none" else amount
    key = session(context).client.call("PUT", f"/v1/keys/{key_id}/budget", {"budget": limit})
    line(f"{key_id}: {key['budget'] or 'no limit of its own'}")


@app.command()
def rotate(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="An API key's id, or admin, runner, mesh or webhook.")],
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="How long the secret before is still taken; 0: not at all.")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Replace a secret while everything runs; whoever has the old one has time to take the new one."""
    # The gateway's imports take a second that no other command should wait for.
    from concilium.cli import rotation  # noqa: PLC0415

    current = session(context)
    if key in rotation.LOCAL and current.url:
        raise CliError(f"keys/{key}.key belongs to the home of that mesh", "rotate it there", code=USAGE)
    made = rotation.rotate(current, key, overlap_hours * HOUR_S)
    if as_json:
        print_json(made)
        return
    if key in rotation.LOCAL:
        line(f"{made['file']} holds a new secret")
    else:
        line(made["secret"])
        note("The secret is shown this once; the mesh keeps only its hash.")
    note(f"The one before is taken for {overlap_hours:g} h more" if overlap_hours else "The one before is refused now")


@app.command()
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(metavar="KEY")]) -> None:
    """Revoke a key; what uses it is refused at once."""
    session(context).client.call("DELETE", f"/v1/keys/{key_id}")
    line(f"Revoked {key_id}")


def _day(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}" if moment else ""
