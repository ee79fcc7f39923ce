"""One sentence for each kind of event, and the files a task has made."""

from concilium.contracts.parts import FilePart, FileRef
from concilium.contracts.task import (
    ArtifactEvent,
    Event,
    EventBody,
    ProgressEvent,
    StageEvent,
    StateEvent,
    StepEvent,
    TaskView,
)


def sentence(body: EventBody) -> str:
    """Return what an event says, for people."""
    match body:
        case StateEvent():
            return f"task is {body.state}" + (f": {body.message}" if body.message else "")
        case StageEvent():
            return f"stage {body.stage}"
        case StepEvent():
            where = f" on {body.node}" if body.node else ""
            took = f" in {body.duration_s:.2f} s" if body.duration_s is not None else ""
            why = f" ({body.problem.type})" if body.problem else ""
            return f"{body.step}: {body.skill}{where} is {body.state}, attempt {body.attempt}{took}{why}"
        case ProgressEvent():
            share = f" {body.fraction:.0%}" if body.fraction is not None else ""
            return f"{body.step}:{share} {body.message}".rstrip()
        case ArtifactEvent():
            return f"{body.step} made {body.artifact.name}"


def latest_progress(events: list[Event]) -> dict[tuple[str, int], ProgressEvent]:
    """Return the newest progress of each attempt, by (step, attempt)."""
    return {(e.body.step, e.body.attempt): e.body for e in events if isinstance(e.body, ProgressEvent)}


def files_of(task: TaskView) -> list[tuple[str, FileRef]]:
    """Return every file among the task's artifacts with the artifact's name."""
    return [
        (artifact.name, part.file)
        for artifact in task.artifacts
        for part in artifact.parts
        if isinstance(part, FilePart)
    ]
