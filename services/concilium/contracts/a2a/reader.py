"""What a caller understands of an agent's answer: stream events folded into a final result."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format, struct_pb2
from pydantic import TypeAdapter, ValidationError

from concilium.contracts import limits
from concilium.contracts.a2a.events import DURATION, OUTPUT, PROBLEM, USED
from concilium.contracts.a2a.parts import Content, read_parts
from concilium.contracts.a2a.values import from_value, state_from_wire
from concilium.contracts.base import JSON
from concilium.contracts.errors import Invalid, TooLarge
from concilium.contracts.parts import FileRef
from concilium.contracts.prices import EngineUse
from concilium.contracts.states import TaskState
from concilium.contracts.task import Problem


@dataclass(frozen=True, slots=True)
class Started:
    """The agent knows the run; ``run_id`` is the A2A task's id."""

    run_id: str
    state: TaskState


@dataclass(frozen=True, slots=True)
class Progress:
    fraction: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Final:
    """The end of a stream: a terminal state, ``input-required`` or ``auth-required``, with everything the run made."""

    state: TaskState
    output: JSON = None
    files: tuple[tuple[FileRef, bytes], ...] = ()
    """Verified references and bytes, in the order they were made."""
    problem: Problem | None = None
    """Set unless completed or asking."""
    question: str | None = None
    """What the agent asks, while ``input-required``."""
    duration_s: float | None = None
    """Seconds the run took at the agent; None when it does not say."""
    used: tuple[EngineUse, ...] = ()
    """What it asked of engines, as it says."""


StreamItem = Started | Progress | Final
_USES: TypeAdapter[tuple[EngineUse, ...]] = TypeAdapter(tuple[EngineUse, ...])
_ENDS = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})


@dataclass
class StreamReader:
    """Folds the ``data:`` of server-sent events (each a JSON ``StreamResponse``) of one stream."""

    _artifacts: dict[str, pb.Artifact] = field(default_factory=dict)

    def feed(self, data: str | bytes) -> Iterator[StreamItem]:
        """Yield what one event says; after a `Final` nothing more is to be expected.

        Raises:
            Invalid: the event is not A2A, or a file does not match its hash.
            TooLarge: there are too many artifacts or parts.
        """
        try:
            event = json_format.Parse(data, pb.StreamResponse(), ignore_unknown_fields=True)
        except (json_format.ParseError, RecursionError) as error:
            raise Invalid(f"the agent's answer is not A2A: {_said(error)}") from error
        match event.WhichOneof("payload"):
            case "task":
                yield from self.feed_task(event.task)
            case "status_update":
                yield from self._status(event.status_update.status, event.status_update)
            case "artifact_update":
                self._keep(event.artifact_update)
            case "message":
                content = read_parts(event.message.parts)
                yield Final(TaskState.COMPLETED, _output_of(content), content.files)
            case _:
                raise Invalid("the agent's answer holds no event")

    def feed_task(self, task: pb.Task) -> Iterator[StreamItem]:
        """Yield what a whole task says, e.g. the answer to ``GET /a2a/tasks/{id}``."""
        if len(task.artifacts) > limits.MESSAGE_PARTS:
            raise TooLarge(f"a run has at most {limits.MESSAGE_PARTS} artifacts")
        self._artifacts = {artifact.artifact_id: artifact for artifact in task.artifacts}
        state = state_from_wire(task.status.state)
        yield Started(task.id, state)
        if state.terminal or state in _ENDS:
            yield self._final(state, task.status, task.metadata)

    def _status(self, status: pb.TaskStatus, event: pb.TaskStatusUpdateEvent) -> Iterator[StreamItem]:
        state = state_from_wire(status.state)
        if state.terminal or state in _ENDS:
            yield self._final(state, status, event.metadata)
        elif status.HasField("message") or "fraction" in event.metadata.fields:
            raw = from_value(event.metadata.fields["fraction"]) if "fraction" in event.metadata.fields else None
            fraction = min(max(float(raw), 0.0), 1.0) if isinstance(raw, int | float) else None
            yield Progress(fraction, read_parts(status.message.parts).text[:500])
        else:
            yield Started(event.task_id, state)

    def _keep(self, update: pb.TaskArtifactUpdateEvent) -> None:
        known = self._artifacts.get(update.artifact.artifact_id)
        if update.append and known is not None:
            known.parts.extend(update.artifact.parts)
        else:
            self._artifacts[update.artifact.artifact_id] = update.artifact
        if len(self._artifacts) > limits.MESSAGE_PARTS:
            raise TooLarge(f"a run has at most {limits.MESSAGE_PARTS} artifacts")

    def _final(self, state: TaskState, status: pb.TaskStatus, metadata: struct_pb2.Struct) -> Final:
        contents = {key: read_parts(artifact.parts) for key, artifact in self._artifacts.items()}
        files = tuple(file for content in contents.values() for file in content.files)
        own = contents.get(OUTPUT)
        output = _output_of(own if own else _joined(contents.values()))
        said = read_parts(status.message.parts)
        end = Final(state, output, files, duration_s=_duration_of(metadata), used=_used_of(metadata))
        if state is TaskState.COMPLETED:
            return end
        if state in _ENDS:
            return replace(end, question=said.text or "the agent asks for more")
        return replace(end, problem=_problem_of(state, said))


def _joined(contents: Collection[Content]) -> Content:
    """Return several contents as one."""
    return Content(
        texts=tuple(text for content in contents for text in content.texts),
        data=tuple(data for content in contents for data in content.data),
        files=tuple(file for content in contents for file in content.files),
    )


def _output_of(content: Content) -> JSON:
    """Return the data of a content; an agent that answers in text alone gives ``{"text": …}``."""
    if content.data:
        return content.data[0] if len(content.data) == 1 else list(content.data)
    return {"text": content.text} if content.texts else None


def _duration_of(metadata: struct_pb2.Struct) -> float | None:
    """Return the seconds an ended run took, None when that is not said or makes no sense."""
    if DURATION not in metadata.fields:
        return None
    said = from_value(metadata.fields[DURATION])
    number = isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said)
    return float(said) if number and 0 <= said <= limits.DEADLINE_MAX_S else None


def _used_of(metadata: struct_pb2.Struct) -> tuple[EngineUse, ...]:
    """Return what an ended run asked of engines; nothing when that is not said or makes no sense."""
    if USED not in metadata.fields:
        return ()
    try:
        return _USES.validate_python(from_value(metadata.fields[USED]))
    except ValidationError:
        return ()


def _said(error: Exception) -> str:
    return "it nests too deep" if isinstance(error, RecursionError) else str(error)[:2000]


def _problem_of(state: TaskState, said: Content) -> Problem:
    for data in said.data:
        if isinstance(data, dict) and PROBLEM in data:
            try:
                return Problem.model_validate(data[PROBLEM])
            except ValidationError as error:
                raise Invalid("the agent's problem is malformed") from error
    return Problem(type=f"agent-{state}", detail=said.text[:2000] or f"the agent ended the run as {state}")


def read_task(data: str | bytes) -> tuple[StreamItem, ...]:
    """Return what a JSON ``Task`` says (the answer to get or cancel). Raises `Invalid` as `StreamReader.feed`."""
    try:
        task = json_format.Parse(data, pb.Task(), ignore_unknown_fields=True)
    except (json_format.ParseError, RecursionError) as error:
        raise Invalid(f"the agent's answer is not A2A: {_said(error)}") from error
    return tuple(StreamReader().feed_task(task))
