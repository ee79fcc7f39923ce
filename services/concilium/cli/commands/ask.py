"""``ask``: one request in, the answer and its files out."""

from pathlib import Path
from typing import Annotated

import typer

from concilium.cli.errors import INTERRUPTED
from concilium.cli.output import line, note, print_json
from concilium.cli.results import print_result, save_result
from concilium.cli.session import AsJson, Session, session
from concilium.cli.watch import exit_code, watch
from concilium.contracts.base import JSON
from concilium.contracts.task import DataClass, Priority, TaskView


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="What you want; '-' reads it from standard input.")],
    *,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", exists=True, dir_okay=False, readable=True, help="Attach a file; repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the answer and its files.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the task, or print its id.")] = True,
    deadline: Annotated[float | None, typer.Option(min=0.1, help="Seconds the whole task may take.")] = None,
    priority: Annotated[Priority, typer.Option(help="What runs first when agents are busy.")] = Priority.NORMAL,
    data_class: Annotated[DataClass, typer.Option(help="private never leaves home.")] = DataClass.INTERNAL,
    callback: Annotated[str | None, typer.Option(help="URL the signed answer is posted to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the mesh for something and follow it.

    Exit code 0: completed, 1: failed, 2: wrong usage, 3: the mesh asks something back,
    4: completed although a step failed, 130: interrupted.
    """
    current = session(context)
    terms: dict[str, JSON] = {"priority": priority.value, "data_class": data_class.value}
    if deadline is not None:
        terms["deadline_s"] = deadline
    if callback is not None:
        terms["callback_url"] = callback
    wish = typer.get_text_stream("stdin").read() if text == "-" else text
    task = current.client.ask(wish, file or (), terms)
    if not wait:
        print_json(task.model_dump(mode="json")) if as_json else line(task.id)
        return
    note(f"Task {task.id}", style="dim")
    raise typer.Exit(see_through(current, task, out, as_json=as_json))


def see_through(current: Session, task: TaskView, out: Path | None, *, as_json: bool, after: int = 0) -> int:
    """Follow a task to its end, print and save what came of it; return the exit code."""
    try:
        ended = watch(current.client, task.id, after)
    except KeyboardInterrupt:
        note(f"\nThe task goes on. Watch it: concilium tasks watch {task.id}")
        note(f"Cancel it: concilium tasks cancel {task.id}")
        return INTERRUPTED
    written = save_result(current.client, ended, out) if out is not None else []
    if as_json:
        print_json(ended.model_dump(mode="json") | {"saved": [str(path) for path in written]})
    else:
        print_result(ended)
        for path in written:
            note(f"saved {path}")
    return exit_code(ended)
