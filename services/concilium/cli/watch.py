"""Follow a task step by step: a live table on a terminal, plain lines in a pipe."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from concilium.cli.client import MeshClient
from concilium.cli.errors import ASKED, FAILED, PARTLY
from concilium.cli.output import STATE_STYLE, duration, note, stderr
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import Event, ProgressEvent, StateEvent, StepEvent, TaskView


class Viewer(Protocol):
    """Something that shows events as they come."""

    def show(self, event: Event) -> None: ...


def watch(client: MeshClient, task_id: str, after: int = 0) -> TaskView:
    """Show a task's events past ``after`` until it is over or asks something; return the task as it is then."""
    with viewer(stderr) as shown:
        for event in client.follow(task_id, after):
            shown.show(event)
    return client.task(task_id)


def exit_code(task: TaskView) -> int:
    """Return what a command exits with for a task in this state."""
    if task.state is TaskState.COMPLETED:
        latest = {entry.step: entry.state for entry in task.answer.provenance} if task.answer else {}
        return 0 if all(state is StepState.COMPLETED for state in latest.values()) else PARTLY
    return ASKED if task.state in {TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED} else FAILED


@contextmanager
def viewer(console: Console) -> Iterator[Viewer]:
    """Return a viewer that fits the console."""
    if not console.is_terminal:
        yield Lines()
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield Bars(progress)


def headline(body: StepEvent) -> str:
    """Return the words that name a step: its name, skill, and a repeated attempt's number."""
    again = f" (attempt {body.attempt})" if body.attempt > 1 else ""
    return f"{body.step}: {body.skill}{again}"


def ending(body: StepEvent) -> str:
    """Return how a step's attempt stands: state, node, duration, problem."""
    words = [str(body.state)]
    if body.node:
        words.append(f"on {body.node}")
    if body.duration_s is not None:
        words.append(f"in {duration(body.duration_s)}")
    return " ".join(words) + (f": {body.problem.detail}" if body.problem else "")


class Lines:
    """One plain line for each event worth a line."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def show(self, event: Event) -> None:
        """Print the event, unless it says nothing to a person."""
        text = self._text(event)
        if text:
            note(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def _text(self, event: Event) -> str:
        body = event.body
        if isinstance(body, StateEvent):
            return f"task {body.state}" + (f": {body.message}" if body.message else "")
        if isinstance(body, StepEvent):
            return f"{headline(body)} {ending(body)}"
        if isinstance(body, ProgressEvent):
            share = "" if body.fraction is None else f" {body.fraction:.0%}"
            return f"{body.step}:{share} {body.message}".rstrip()
        return ""


class Bars:
    """A row with a bar for each attempt of each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows: dict[tuple[str, int], TaskID] = {}

    def show(self, event: Event) -> None:
        """Move the row the event is about."""
        body = event.body
        if isinstance(body, StepEvent):
            self._step(body)
        elif isinstance(body, StateEvent) and body.state is TaskState.SUBMITTED and body.message:
            self._progress.console.print(escape(body.message), style="yellow")
        elif isinstance(body, ProgressEvent) and (body.step, body.attempt) in self._rows:
            row = self._rows[body.step, body.attempt]
            if body.fraction is not None:
                self._progress.update(row, total=1.0, completed=body.fraction)
            self._progress.update(row, said=escape(body.message))

    def _step(self, body: StepEvent) -> None:
        key = (body.step, body.attempt)
        if key not in self._rows:
            self._rows[key] = self._progress.add_task(escape(headline(body)), total=None, start=False, said="")
        row = self._rows[key]
        if body.state is StepState.WORKING:
            self._progress.start_task(row)
        style = STATE_STYLE.get(body.state, "")
        said = f"[{style}]{escape(ending(body))}[/]" if style else escape(ending(body))
        self._progress.update(row, said=said)
        if body.state.terminal:
            done = 1.0 if body.state is StepState.COMPLETED else 0.0
            self._progress.update(row, total=1.0, completed=done)
            self._progress.stop_task(row)
