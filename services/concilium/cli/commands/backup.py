"""``backup`` and ``restore``: a home in one file, and a home of that file again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from concilium.cli.output import line, note, print_json, size, stderr
from concilium.cli.session import AsJson, session


def backup(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The archive, or a folder; none: backups/ in the home.")] = None,
    *,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Leave the secrets in keys/ out.")] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="Remove all but this many backups of the folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the ledger, its files, agents, settings and keys into one checked archive; the mesh may run."""
    # The ledger's imports take time that no other command should wait for.
    from concilium.cli.backup import take  # noqa: PLC0415

    with _progress() as report:
        taken = take(session(context).home, file, keys=not without_keys, keep=keep, report=report)
    found = taken.manifest
    if as_json:
        facts = found.model_dump(mode="json", include={"tasks", "revision", "kind", "missing", "left_out", "keys"})
        print_json(
            {"file": str(taken.path), "sha256": taken.sha256, "bytes": taken.size, "removed": taken.removed}
            | facts
            | {"blobs": len(found.blobs)}
        )
    else:
        line(f"{taken.path}: {found.tasks} tasks, {len(found.blobs)} files, {size(taken.size)}")
        line(f"SHA-256 {taken.sha256}")
        note("It holds secrets: keep it where only you can read it." if found.keys else "It holds no keys.")
        for name in taken.removed:
            note(f"Removed {name}")
    for name in found.left_out:
        note(f"left out, not a plain file: {name}", style="yellow")
    if found.missing:
        note(
            f"{len(found.missing)} files that tasks name are gone or damaged here: {', '.join(found.missing[:3])} …",
            "red",
        )


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An archive that `concilium backup` wrote.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Move what is in the home aside.")] = False,
    sha256: Annotated[str | None, typer.Option(help="Refuse an archive with another sum than this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the home of a backup; the mesh must not run. `concilium up` then carries on with the unfinished tasks."""
    from concilium.cli.restore import restore as run  # noqa: PLC0415  # as above

    home = session(context).home
    with _progress() as report:
        done = run(home, file, force=force, sha256=sha256, report=lambda at, end: report("archive", at, end))
    found = done.manifest
    if as_json:
        print_json(
            {
                "home": str(home.root),
                "tasks": found.tasks,
                "unfinished": done.unfinished,
                "blobs": len(found.blobs),
                "missing": found.missing,
                "moved_aside": done.aside,
            }
        )
        return
    line(f"{home.root} holds {found.tasks} tasks again, {done.unfinished} of them unfinished")
    if done.aside:
        note(f"What was there before is in {done.aside}")
    if not found.keys:
        note("The backup held no keys: `concilium up` writes new ones")
    note("`concilium up` carries on")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what shows progress on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        row = progress.add_task("", total=None)

        def report(what: str, done: int, total: int) -> None:
            progress.update(row, description=what, completed=done, total=total)

        yield report
