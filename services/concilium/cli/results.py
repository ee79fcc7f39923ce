"""Print an answer and keep its files."""

import re
from collections.abc import Iterator
from pathlib import Path

from concilium.cli.client import MeshClient
from concilium.cli.errors import CliError
from concilium.cli.output import duration, line, note
from concilium.contracts.parts import FilePart, FileRef
from concilium.contracts.task import TaskView

NAME_CHARS = 120
ANSWER = "answer.txt"


def print_result(task: TaskView) -> None:
    """Print the answer to standard output; what else the caller should know goes to standard error."""
    if task.answer is not None:
        line(task.answer.text)
        for text in task.answer.notes:
            note(f"note: {text}", style="yellow")
        for entry in task.answer.provenance:
            where = f" on {entry.node}" if entry.node else ""
            took = f" in {duration(entry.duration_s)}" if entry.duration_s is not None else ""
            note(f"  {entry.step}: {entry.skill}{where}, attempt {entry.attempt}, {entry.state}{took}", style="dim")
    if task.problem is not None:
        note(f"{task.state}: {task.problem.detail} ({task.problem.type})", style="red")
    if task.question is not None:
        line(task.question)
        note(f'Answer it: concilium tasks reply {task.id} "…"')


def save_result(client: MeshClient, task: TaskView, folder: Path) -> list[Path]:
    """Write the answer and every file of a task into a folder and return the paths.

    Names come from agents and are not trusted: each is made a plain file name inside the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        used: set[str] = set()
        if task.answer is not None:
            target = folder / unique_name(ANSWER, used)
            _replace(target, task.answer.text + "\n")
            written.append(target)
        for file in task_files(task):
            target = folder / unique_name(file.name, used)
            client.download(task.id, file, target)
            written.append(target)
        return written
    except OSError as error:
        raise CliError(f"cannot write into {folder}: {error}") from error


def task_files(task: TaskView) -> Iterator[FileRef]:
    """Yield the files of a task's artifacts, each content and name once."""
    seen: set[tuple[str, str]] = set()
    for artifact in task.artifacts:
        for part in artifact.parts:
            if isinstance(part, FilePart) and (part.file.sha256, part.file.name) not in seen:
                seen.add((part.file.sha256, part.file.name))
                yield part.file


def unique_name(name: str, used: set[str]) -> str:
    """Return a safe file name that is not in ``used``, and add it there."""
    path = Path(safe_name(name))
    candidate, number = path.name, 1
    while candidate.casefold() in used:
        number += 1
        candidate = f"{path.stem}-{number}{path.suffix}"
    used.add(candidate.casefold())
    return candidate


def safe_name(name: str) -> str:
    """Return a name without path, control and direction characters, not hidden, not empty, not too long."""
    base = re.split(r"[/\\]", name)[-1]
    kept = "".join(char for char in base if char.isprintable()).strip().lstrip(".")
    if not kept:
        return "file"
    return Path(kept).stem[:NAME_CHARS] + Path(kept).suffix[:20]


def _replace(target: Path, text: str) -> None:
    """Write a file in one step, never through a link that lies there."""
    new = target.with_name(f".{target.name}.new")
    new.unlink(missing_ok=True)
    new.write_text(text, encoding="utf-8")
    new.replace(target)
