"""``tasks``: look at tasks and act on them."""

from pathlib import Path
from typing import Annotated

import typer

from concilium.cli.commands.ask import see_through
from concilium.cli.output import ago, duration, first_line, line, note, print_json, size, table
from concilium.cli.results import print_result, task_files
from concilium.cli.session import AsJson, session
from concilium.contracts.states import TaskState
from concilium.contracts.task import TaskView

app = typer.Typer(help="List, show, watch, cancel, replay and answer tasks.", no_args_is_help=True)

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the answer and its files.")]


@app.command("list")
def list_tasks(
    context: typer.Context,
    state: Annotated[TaskState | None, typer.Option(help="Only tasks in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest tasks."""
    found = session(context).client.tasks(state.value if state else None, limit)
    if as_json:
        print_json([task.model_dump(mode="json") for task in found])
        return
    rows = ((t.id, str(t.state), str(t.priority), ago(t.created_at), first_line(t.request.text)) for t in found)
    table(("task", "state", "priority", "submitted", "request"), rows, empty="No tasks yet.")


@app.command()
def show(context: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """Show a task with its answer, its steps and its files."""
    task = session(context).client.task(task_id)
    if as_json:
        print_json(task.model_dump(mode="json"))
        return
    line(f"{task.id}  {task.state}")
    line(f"submitted {task.created_at:%Y-%m-%d %H:%M:%S} UTC, priority {task.priority}, trace {task.trace_id}")
    if task.execution_id:
        line(f"asked by n8n execution {task.execution_id}")
    if task.replay_of:
        line(f"replay of {task.replay_of}")
    if task.cost is not None:
        unknown = f", and {task.cost.unpriced} without a price" if task.cost.unpriced else ""
        line(f"cost {task.cost.amount:.4f} {task.cost.currency}{unknown}")
    line(f"request: {first_line(task.request.text, 200)}")
    for file in task.request.files:
        line(f"  attached {file.name} ({file.media_type}, {size(file.size)})")
    print_result(task)
    for file in task_files(task):
        line(f"  file {file.name} ({file.media_type}, {size(file.size)})")


@app.command()
def watch(context: typer.Context, task_id: TaskId, out: Out = None, as_json: AsJson = False) -> None:
    """Follow a task to its end; exit codes as for `ask`."""
    current = session(context)
    raise typer.Exit(see_through(current, current.client.task(task_id), out, as_json=as_json))


@app.command()
def cancel(context: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """Cancel a task and everything it started."""
    _say(session(context).client.act(task_id, "cancel"), as_json=as_json)


@app.command()
def replay(context: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """Submit the same request again as a new task."""
    task = session(context).client.act(task_id, "replay")
    _say(task, as_json=as_json)
    if not as_json:
        note(f"Watch it: concilium tasks watch {task.id}")


@app.command()
def reply(
    context: typer.Context,
    task_id: TaskId,
    text: Annotated[str, typer.Argument(help="The answer to what the task asks.")],
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the task, or return at once.")] = True,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Answer a task that asks something, then follow it."""
    current = session(context)
    seen = current.client.task(task_id).last_seq
    task = current.client.act(task_id, "reply", {"text": text})
    if not wait:
        _say(task, as_json=as_json)
        return
    raise typer.Exit(see_through(current, task, out, as_json=as_json, after=seen))


def _say(task: TaskView, *, as_json: bool) -> None:
    if as_json:
        print_json(task.model_dump(mode="json"))
        return
    took = (task.updated_at - task.created_at).total_seconds()
    line(f"{task.id}  {task.state}" + (f" after {duration(took)}" if task.state.terminal else ""))
