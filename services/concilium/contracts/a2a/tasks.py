"""The brain's tasks as A2A tasks, and its events as A2A stream events."""

from collections.abc import Mapping

from a2a.types import a2a_pb2 as pb

from concilium.contracts.a2a import events
from concilium.contracts.a2a.parts import LinkTo, artifact_to_wire, data_part, link_part, text_part
from concilium.contracts.parts import Artifact, FilePart, FileRef
from concilium.contracts.states import TaskState
from concilium.contracts.task import Answer, Event, ProgressEvent, StateEvent, StepEvent, TaskView

ANSWER = "answer"
"""Name and id of the artifact with the answer: its text, and its outputs and provenance as data."""


def files_of(view: TaskView) -> tuple[FileRef, ...]:
    """Return every file of a task's artifacts."""
    return tuple(part.file for artifact in view.artifacts for part in artifact.parts if isinstance(part, FilePart))


def task_of(view: TaskView, inline: Mapping[str, bytes], link_to: LinkTo, *, history: bool = True) -> pb.Task:
    """Return a task as its owner sees it.

    Args:
        view: the task.
        inline: the bytes of small files by SHA-256; every other file becomes a link.
        link_to: gives such a file's URL.
        history: whether the caller's messages come along.
    """
    task = events.task(view.id, view.context_id, _status(view), _artifacts(view, inline, link_to))
    if history:
        task.history.extend(_history(view, link_to))
    return task


def final_events(task: pb.Task) -> list[pb.TaskArtifactUpdateEvent | pb.TaskStatusUpdateEvent]:
    """Return an ended or asking task as the end of a stream: its artifacts, then its status."""
    artifacts = [events.artifact_update(task.id, task.context_id, artifact) for artifact in task.artifacts]
    return [*artifacts, events.state_update(task.id, task.context_id, task.status)]


def event_of(event: Event, context_id: str) -> pb.TaskStatusUpdateEvent | None:
    """Return a task's event as progress, or None for what A2A has no word for or what the end tells anyway."""
    match event.body:
        case ProgressEvent() as body:
            return events.progress(event.task_id, context_id, body.fraction, f"{body.step}: {body.message}", event.seq)
        case StepEvent() as body:
            text = f"{body.step}: {body.agent} {body.skill} {body.state}"
            return events.progress(event.task_id, context_id, None, text, event.seq)
        case StateEvent(state=TaskState.WORKING):
            return events.state_update(event.task_id, context_id, events.status(TaskState.WORKING, at=event.at))
        case _:
            return None


def _status(view: TaskView) -> pb.TaskStatus:
    text = view.question if view.state is TaskState.INPUT_REQUIRED else (view.answer.text if view.answer else "")
    return events.status(
        view.state,
        message_id=f"{view.id}.{view.last_seq}",
        text=text or "",
        problem=view.problem,
        at=view.updated_at,
    )


def _artifacts(view: TaskView, inline: Mapping[str, bytes], link_to: LinkTo) -> list[pb.Artifact]:
    wire = [_answer(view.answer)] if view.answer else []
    for number, artifact in enumerate(view.artifacts, start=1):
        wire.append(artifact_to_wire(f"artifact-{number}", _named(artifact), inline, link_to))
    return wire


def _named(artifact: Artifact) -> Artifact:
    """Return an artifact whose name cannot be taken for the answer's."""
    return artifact.model_copy(update={"name": f"{artifact.name}-file"}) if artifact.name == ANSWER else artifact


def _answer(answer: Answer) -> pb.Artifact:
    data = answer.model_dump(mode="json", exclude={"text"})
    return pb.Artifact(artifact_id=ANSWER, name=ANSWER, parts=[text_part(answer.text), data_part(data)])


def _history(view: TaskView, link_to: LinkTo) -> list[pb.Message]:
    parts = [text_part(view.request.text)] if view.request.text else []
    parts.extend(link_part(ref, link_to(ref)) for ref in view.request.files)
    first = pb.Message(message_id=f"{view.id}.0", role=pb.ROLE_USER, parts=parts)
    replies = [
        pb.Message(message_id=f"{view.id}.reply-{number}", role=pb.ROLE_USER, parts=[text_part(text)])
        for number, text in enumerate(view.request.replies, start=1)
    ]
    return [message for message in (first, *replies) if message.parts]
