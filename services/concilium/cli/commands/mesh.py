"""``up``, ``down``, ``status``, ``logs``: the mesh on this machine."""

import sys
import time
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from concilium.cli import lifecycle, logfile, supervisor
from concilium.cli.errors import CliError
from concilium.cli.n8n import addition
from concilium.cli.notify import notify, tell_when_ready
from concilium.cli.output import duration, line, note, print_json, size, stderr, table
from concilium.cli.processes import log_file, mesh_processes
from concilium.cli.service import stop_unit
from concilium.cli.session import AsJson, Session, session
from concilium.contracts.base import JSON
from concilium.home import Home


def up(
    context: typer.Context,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay here; Ctrl-C stops the mesh.")] = False,
    n8n: Annotated[
        bool | None,
        typer.Option("--n8n/--no-n8n", help="With n8n beside it, or without; absent: as the last time."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the mesh in the background; does nothing when it runs."""
    current = session(context)
    with_n8n = addition.settle(current.home, current.local_url, wanted=n8n)
    start_mesh(current.home, foreground=foreground)
    hooks = addition.wait_live(current.home, current.local_url) if with_n8n and not foreground else []
    if as_json:
        print_json(
            {
                "home": str(current.home.root),
                "url": current.local_url,
                "key_file": str(current.home.keys / "admin.key"),
                "supervisor": lifecycle.running(current.home),
                "n8n": addition.address(current.home) if with_n8n else None,
                "webhooks": hooks,
            }
        )
    elif not foreground:
        line(f"The mesh is ready at {current.local_url}", style="green")
        line(f"Home {current.home.root}, key {current.home.keys / 'admin.key'}")
        if with_n8n:
            line(f"n8n is ready at {addition.address(current.home)}; its webhooks: {', '.join(hooks) or 'none'}")


def start_mesh(home: Home, *, foreground: bool = False) -> None:
    """Start the mesh of a home and wait until it is ready; only wait when it already runs."""
    pid = lifecycle.running(home)
    if pid is not None:
        note(f"The mesh of {home.root} runs already (supervisor pid {pid})")
        if foreground:
            return
    else:
        for path in lifecycle.prepare(home):
            note(f"Wrote {path}")
        if foreground:
            _foreground(home)
            return
        lifecycle.start_background(home)
    _wait(home)


def down(context: typer.Context, as_json: AsJson = False) -> None:
    """Stop the mesh of this home."""
    home = session(context).home
    with stderr.status("Stopping the mesh") if stderr.is_terminal else nullcontext():
        ran = stop_unit(home) or lifecycle.stop(home)
    if as_json:
        print_json({"home": str(home.root), "stopped": ran})
    else:
        line("Stopped." if ran else f"No mesh of {home.root} runs.")


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the processes of the mesh; exit code 1 when not all of them are ready."""
    current = session(context)
    said = lifecycle.of_others(current.home)
    if said:
        _status_of_others(current, said, as_json=as_json)
        return
    found = lifecycle.status(current.home)
    refused = lifecycle.refusal(current.home)
    whole = all(entry.state == "running" for entry in found) and not refused
    if as_json:
        print_json(
            {
                "home": str(current.home.root),
                "url": current.local_url,
                "ready": whole,
                "accepting": bool(found) and not refused and any(e.name == "control" and e.pid for e in found),
                "refusal": refused,
                "supervisor": lifecycle.running(current.home),
                "processes": [entry.as_json() for entry in found],
            }
        )
    else:
        table(
            ("process", "state", "pid", "address", "up", "restarts", "memory"),
            (
                (
                    entry.name,
                    entry.state,
                    str(entry.pid or ""),
                    entry.address,
                    duration(entry.up_s),
                    str(entry.restarts),
                    size(entry.rss_bytes),
                )
                for entry in found
            ),
            empty="",
        )
    if refused and not as_json:
        note(f"New tasks are refused: {refused}", style="red")
    if not whole:
        if not as_json and lifecycle.running(current.home) is None:
            note("The mesh does not run; start it with `concilium up`")
        raise typer.Exit(1)


def _status_of_others(current: Session, said: dict[str, JSON], *, as_json: bool) -> None:
    """Show what a control plane says whose processes somebody else looks after, such as Docker Compose."""
    whole, refused = said.get("ready") is True, lifecycle.disk_word(said)
    if as_json:
        about = {"home": str(current.home.root), "url": current.local_url, "ready": whole}
        print_json(about | {"accepting": not refused, "refusal": refused, "parts": said})
    else:
        table(("part", "state"), ((part, str(said[part])) for part in ("ledger", "disk", "queue")), empty="")
        note("Not started by `concilium up`; under Docker Compose, `docker compose ps` shows every process")
        if refused:
            note(f"New tasks are refused: {refused}", style="red")
    if not whole:
        raise typer.Exit(1)


def logs(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Processes; none: all of them.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 40,
) -> None:
    """Show the end of the logs."""
    home = session(context).home
    known = (supervisor.NAME, *(process.name for process in mesh_processes(home)))
    for name in names or ():
        if name not in known:
            raise CliError(f"no process '{name}'", f"known: {', '.join(known)}", code=2)
    chosen = tuple(names or known)
    for name in chosen:
        for text in logfile.tail(log_file(home, name), lines):
            _log_line(name, text, chosen)
    if follow:
        _follow(home, chosen)


def _follow(home: Home, names: tuple[str, ...]) -> None:
    places = {name: _length(home, name) for name in names}
    while True:
        for name in names:
            length = _length(home, name)
            # A log that was cut by its rotation is read from its new beginning.
            start = places[name] if length >= places[name] else 0
            if length == start:
                continue
            with log_file(home, name).open("rb") as file:
                file.seek(start)
                whole, feed, _ = file.read().rpartition(b"\n")
            places[name] = start + len(whole) + len(feed)
            for text in whole.decode("utf-8", errors="replace").splitlines():
                _log_line(name, text, names)
        sys.stdout.flush()
        time.sleep(0.2)


def _length(home: Home, name: str) -> int:
    path = log_file(home, name)
    return path.stat().st_size if path.is_file() else 0


def _log_line(name: str, text: str, shown: tuple[str, ...]) -> None:
    sys.stdout.write(f"{name:<10} {text}\n" if len(shown) > 1 else f"{text}\n")


def _foreground(home: Home) -> None:
    note(f"The mesh of {home.root} starts here; its logs are in {home.logs}; Ctrl-C stops it")
    code = supervisor.main(tell_when_ready)
    notify("STOPPING=1")
    if code:
        raise typer.Exit(code)


def _wait(home: Home) -> None:
    if not stderr.is_terminal:
        lifecycle.wait_ready(home, _Announcer())
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        row = progress.add_task("starting", total=None)

        def report(found: list[lifecycle.ProcessStatus]) -> None:
            waiting = [entry.name for entry in found if entry.state != "running"]
            done = len(found) - len(waiting)
            awaited = f", waiting for {', '.join(waiting)}" if waiting else ""
            progress.update(row, description=f"{done} of {len(found)} ready{awaited}")

        lifecycle.wait_ready(home, report)


class _Announcer:
    """Says once for each process that it is ready, and which ones are slow."""

    SLOW_S = 10.0

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self._began = self._said = time.monotonic()

    def __call__(self, found: list[lifecycle.ProcessStatus]) -> None:
        now = time.monotonic()
        for entry in found:
            if entry.state == "running" and entry.name not in self._ready:
                self._ready.add(entry.name)
                note(
                    f"{now - self._began:5.1f} s  {entry.name} ready"
                    + (f" at {entry.address}" if entry.address else "")
                )
        waiting = [entry.name for entry in found if entry.state != "running"]
        if waiting and now - self._said > self.SLOW_S:
            self._said = now
            note(f"{now - self._began:5.1f} s  still waiting for {', '.join(waiting)}")
