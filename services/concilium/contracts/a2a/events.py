"""What an agent service says of a run: A2A tasks and stream events."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from a2a.types import a2a_pb2 as pb

from concilium.contracts.a2a.parts import data_part, file_part, text_part
from concilium.contracts.a2a.values import state_to_wire, to_value
from concilium.contracts.base import JSON, utc_now
from concilium.contracts.parts import FileRef
from concilium.contracts.prices import EngineUse
from concilium.contracts.states import TaskState
from concilium.contracts.task import Problem

OUTPUT: Final = "output"
"""The name and id of the artifact with a skill's output; every other artifact holds one file."""

PROBLEM: Final = "problem"
"""The member of a failed run's status data part that holds the `Problem`."""

DURATION: Final = "duration_s"
"""The metadata member of an ended run with the seconds it took at the agent, whoever followed it meanwhile."""

USED: Final = "used"
"""The metadata member of an ended run with what it asked of engines, a list of `EngineUse`."""


def status(
    state: TaskState,
    *,
    message_id: str = "",
    text: str = "",
    problem: Problem | None = None,
    at: datetime | None = None,
) -> pb.TaskStatus:
    """Return a status; a problem is told both as text and as a data part."""
    wire = pb.TaskStatus(state=state_to_wire(state))
    wire.timestamp.FromDatetime(at or utc_now())
    if text or problem:
        wire.message.message_id = message_id
        wire.message.role = pb.ROLE_AGENT
        wire.message.parts.append(text_part(problem.detail if problem else text))
    if problem:
        wire.message.parts.append(data_part({PROBLEM: problem.model_dump(mode="json")}))
    return wire


def task(
    run_id: str,
    context_id: str,
    state: pb.TaskStatus,
    artifacts: Iterable[pb.Artifact] = (),
    duration_s: float | None = None,
    *,
    used: Iterable[EngineUse] = (),
) -> pb.Task:
    """Return a task; an ended one says how many seconds it took and what it asked of engines."""
    found = pb.Task(id=run_id, context_id=context_id, status=state, artifacts=artifacts)
    if duration_s is not None:
        to_value(duration_s, found.metadata.fields[DURATION])
    asked = [use.model_dump(mode="json") for use in used]
    if asked:
        to_value(asked, found.metadata.fields[USED])
    return found


def progress(run_id: str, context_id: str, fraction: float | None, text: str, number: int) -> pb.TaskStatusUpdateEvent:
    """Return a progress note: a status update in state working; ``number`` tells notes of one run apart."""
    update = pb.TaskStatusUpdateEvent(
        task_id=run_id,
        context_id=context_id,
        status=status(TaskState.WORKING, message_id=f"{run_id}.p{number}", text=text),
    )
    if fraction is not None:
        to_value(fraction, update.metadata.fields["fraction"])
    return update


def state_update(run_id: str, context_id: str, state: pb.TaskStatus) -> pb.TaskStatusUpdateEvent:
    """Return a status update."""
    return pb.TaskStatusUpdateEvent(task_id=run_id, context_id=context_id, status=state)


def final_update(ended: pb.Task) -> pb.TaskStatusUpdateEvent:
    """Return the final status update of an ended task, with its metadata."""
    return pb.TaskStatusUpdateEvent(
        task_id=ended.id, context_id=ended.context_id, status=ended.status, metadata=ended.metadata
    )


def artifact_update(run_id: str, context_id: str, artifact: pb.Artifact) -> pb.TaskArtifactUpdateEvent:
    """Return an update that brings one whole artifact."""
    return pb.TaskArtifactUpdateEvent(task_id=run_id, context_id=context_id, artifact=artifact, last_chunk=True)


def result_artifacts(output: JSON, files: Iterable[tuple[FileRef, bytes]]) -> list[pb.Artifact]:
    """Return a result on the wire: ``output`` with one data part, then one artifact a file."""
    artifacts = [pb.Artifact(artifact_id=OUTPUT, name=OUTPUT, parts=[data_part(output)])]
    for number, (ref, data) in enumerate(files, start=1):
        artifacts.append(pb.Artifact(artifact_id=f"file-{number}", name=ref.name, parts=[file_part(ref, data)]))
    return artifacts
