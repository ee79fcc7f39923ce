"""``agents``: list them, test one, write a new one."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from concilium.cli.agent_service import service
from concilium.cli.errors import USAGE, CliError
from concilium.cli.new_agent import write_agent
from concilium.cli.output import line, note, print_json, table
from concilium.cli.session import AsJson, Session, session
from concilium.contracts.base import JSON
from concilium.contracts.skill import AgentManifest
from concilium.home import Home

app = typer.Typer(help="List the agents, test one, write a new one.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name.")]


@app.callback(invoke_without_command=True)
def list_agents(context: typer.Context, as_json: AsJson = False) -> None:
    """List the agents and their skills; ``test`` and ``new`` do more."""
    if context.invoked_subcommand is not None:
        return
    found = session(context).client.call("GET", "/v1/agents")
    if as_json:
        print_json(found)
        return
    rows = (
        (agent["name"], skill["name"], skill["description"]) for agent in found["agents"] for skill in agent["skills"]
    )
    table(("agent", "skill", "does"), rows, empty="No agents.")


@app.command("test")
def self_test(
    context: typer.Context,
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help="A running service; default: one is started for the test.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run an agent's self-test; exit code 1 when a case failed."""
    current = session(context)
    agent = current.home.catalog.agent(name)
    if not agent.self_test:
        raise CliError(f"agent '{name}' has no self-test", "write one: `self_test:` in its agent.yaml", code=USAGE)
    report = asyncio.run(_test(current, agent, url))
    failed = sum(entry["result"] == "failed" for entry in report)
    if as_json:
        print_json({"agent": name, "ok": not failed, "cases": report})
    else:
        rows = ((e["title"], e["skill"], e["result"], f"{e['seconds']:.2f} s", e["detail"]) for e in report)
        table(("case", "skill", "result", "took", ""), rows, empty="")
        passed = sum(entry["result"] == "passed" for entry in report)
        line(f"{name}: {passed} of {len(report)} passed", style="red" if failed else "green")
    if failed:
        raise typer.Exit(1)


@app.command()
def new(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Write a new agent into this home: agent.yaml, its skills, a test."""
    home = session(context).home
    written = write_agent(home, name)
    if as_json:
        print_json({"agent": name, "files": [str(path) for path in written]})
        return
    for path in written:
        line(f"Wrote {path}")
    _say_next(home, name)


async def _test(current: Session, agent: AgentManifest, url: str | None) -> list[dict[str, JSON]]:
    # The runner's and the runtime's imports take a second that no other command should wait for.
    from concilium.cli.self_test import Tester  # noqa: PLC0415
    from concilium.workers.runtime.app import engine_of  # noqa: PLC0415

    home = current.home
    key = current.key_file.read_text(encoding="ascii").strip() if current.key_file else None
    engine = engine_of(agent, home.config) is not None
    report: list[dict[str, JSON]] = []
    with service(home, agent, url, key) as found:
        note(f"testing {agent.name} at {found.url}")
        tester = Tester(agent, home.agent_folder(agent.name), found.url, found.shown, engine)
        async for case in tester.run():
            number = f"{len(report) + 1}/{len(agent.self_test)}"
            detail = f": {case.detail}" if case.detail else ""
            note(f"{number:>7}  {case.result:<7} {case.seconds:5.2f} s  {case.title}{detail}")
            report.append(asdict(case))
    return report


def _say_next(home: Home, name: str) -> None:
    start = ", ".join((*home.config.agents.start, name))
    note(
        "\n".join(
            (
                "Next:",
                f"  concilium agents test {name}",
                f"  in {home.root / 'mesh.yaml'}:",
                "    agents:",
                f"      start: [{start}]",
                "  concilium down; concilium up",
                f"  concilium ask 'let {name} count the words: one two three'",
            )
        )
    )
