"""``nodes``: rented machines that work for the mesh."""

from datetime import datetime
from typing import Annotated

import typer

from concilium.cli.joining import join_mesh, leave_mesh
from concilium.cli.output import line, note, print_json, size, table
from concilium.cli.session import AsJson, session
from concilium.contracts.base import JSON, utc_now
from concilium.contracts.nodes import Dial, Node, NodeList

app = typer.Typer(help="Invite, list, drain and revoke rented nodes; join as one, and leave.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NODE")]


@app.command()
def invite(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the node will be called.")],
    *,
    address: Annotated[
        str, typer.Option(help="host:port of the side that is dialled, as the other reaches it.", metavar="HOST:PORT")
    ],
    agents: Annotated[str, typer.Option(help="Agents it starts, with commas.")],
    dial: Annotated[Dial, typer.Option(help="Who dials: home, or the node (behind NAT).")] = Dial.HOME,
    label: Annotated[list[str] | None, typer.Option(help="Repeatable, e.g. eu or disk=nvme.")] = None,
    price: Annotated[str | None, typer.Option(help="Per hour of work; absent: unknown.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print one command; run on a machine within an hour, it makes that machine a node."""
    body: dict[str, JSON] = {
        "name": name,
        "dial": dial.value,
        "address": address,
        "agents": [agent.strip() for agent in agents.split(",") if agent.strip()],
        "labels": label or [],
    }
    if price is not None:
        body["price_per_hour"] = price
    made = session(context).client.call("POST", "/v1/nodes", body)
    if as_json:
        print_json(made)
        return
    line(made["command"])
    note(f"Good once, until {_time(made['node']['invited_until'])}. It is shown this once: whoever has it can join.")


@app.command("list")
def list_nodes(context: typer.Context, as_json: AsJson = False) -> None:
    """List the nodes."""
    found = session(context).client.call("GET", "/v1/nodes")
    if as_json:
        print_json(found)
        return
    nodes = NodeList.model_validate(found).nodes
    rows = (
        (node.name, node.state.value, " ".join(node.agents), _has(node), _price(node), _seen(node)) for node in nodes
    )
    table(("node", "state", "agents", "has", "per hour", "seen"), rows, empty="No nodes; `concilium nodes invite`.")


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show everything that is known of a node."""
    _print(session(context).client.call("GET", f"/v1/nodes/{name}"), as_json)


@app.command()
def drain(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Give a node nothing new; what it runs may end."""
    _print(session(context).client.call("POST", f"/v1/nodes/{name}/drain"), as_json)


@app.command()
def undrain(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Give a drained node work again."""
    _print(session(context).client.call("POST", f"/v1/nodes/{name}/undrain"), as_json)


@app.command()
def revoke(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """End a node's rights at once; its steps go to others."""
    _print(session(context).client.call("DELETE", f"/v1/nodes/{name}"), as_json)


@app.command()
def join(
    context: typer.Context,
    token: Annotated[
        str, typer.Argument(help="From `nodes invite`; not needed again once the machine has enrolled.")
    ] = "",
    listen: Annotated[
        str,
        typer.Option(help="Where to listen when home dials; absent: its port on every address.", metavar="HOST:PORT"),
    ] = "",
) -> None:
    """Make this machine a node, and stay here as one: start its agents and its link until Ctrl-C or SIGTERM."""
    code = join_mesh(session(context).home, token, listen)
    if code:
        raise typer.Exit(code)


@app.command()
def leave(context: typer.Context) -> None:
    """Forget, on a machine that is a node, its mesh and its key: it can join anew. Home is not told."""
    name = leave_mesh(session(context).home)
    line(f"This is no longer node '{name}'; its key is gone")
    note(f"At home: `concilium nodes revoke {name}`")


def _print(found: JSON, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    node = Node.model_validate(found)
    facts = {
        "node": node.name,
        "state": node.state.value,
        "dials": node.dial.value,
        "address": node.address,
        "agents": " ".join(node.agents),
        "down": _down(node),
        "labels": " ".join(node.labels),
        "has": _has(node),
        "per hour": _price(node),
        "seen": _seen(node),
        "clock": "" if node.skew_s is None else f"{node.skew_s:+.1f} s",
        "certificate": "" if node.certificate_until is None else f"until {node.certificate_until:%Y-%m-%d %H:%M} UTC",
        "refused": f"{node.refusals}, last: {node.last_refusal}" if node.refusals else "0",
    }
    for name, value in facts.items():
        line(f"{name:<12} {value}")


def _has(node: Node) -> str:
    has = node.capabilities
    if has is None:
        return ""
    gpus = ", ".join(f"{gpu.name} {size(gpu.vram_bytes)}" for gpu in has.gpus)
    return ", ".join(filter(None, (f"{has.cpus} CPU", size(has.ram_bytes), gpus)))


def _down(node: Node) -> str:
    running = node.capabilities.running if node.capabilities is not None else None
    return "" if running is None else " ".join(agent for agent in node.agents if agent not in running)


def _price(node: Node) -> str:
    return "" if node.price_per_hour is None else f"{node.price_per_hour:f}".rstrip("0").rstrip(".")


def _seen(node: Node) -> str:
    if node.last_seen_at is None:
        return "never"
    return f"{max(0.0, (utc_now() - node.last_seen_at).total_seconds()):.0f} s ago"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
