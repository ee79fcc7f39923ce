"""A step on A2A's wire: the message that carries it, and the step extension with its terms.

What A2A has no field for travels as a declared extension in ``message.metadata[STEP_URI]``. It is honoured only from
an authenticated mesh peer, and may only lower what the receiver allows.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format
from pydantic import Field, ValidationError

from concilium.contracts import limits
from concilium.contracts.a2a.parts import data_part, file_part, text_part
from concilium.contracts.a2a.values import from_value, to_value
from concilium.contracts.base import JSON, Model
from concilium.contracts.errors import Invalid
from concilium.contracts.runner import Lease
from concilium.contracts.task import DataClass, Priority

STEP_URI: Final = "https://concilium.dev/a2a/ext/step/v1"
MEDIA_TYPE: Final = "application/a2a+json"
VERSION: Final = "1.0"
HEADERS: Final[dict[str, str]] = {"A2A-Version": VERSION, "A2A-Extensions": STEP_URI, "Content-Type": MEDIA_TYPE}
"""Headers of every call from one mesh peer to another, beside ``Authorization``."""
PLAIN_HEADERS: Final[dict[str, str]] = {"A2A-Version": VERSION, "Content-Type": MEDIA_TYPE}
"""Headers of every call to an agent that does not know the step extension."""

RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$")]


class StepTerms(Model):
    """The terms under which a step runs. From a mesh peer the A2A task's id is ``run_id``."""

    run_id: RunId
    """``<task>.<step>.<attempt>``"""
    step_key: RunId
    """``<task>.<step>``: what the fence counts for."""
    attempt: int = Field(default=1, ge=1)
    fence: int = Field(default=0, ge=0)
    deadline_s: float = Field(gt=0, le=limits.DEADLINE_MAX_S)
    """Seconds left for this attempt."""
    hops: int = Field(default=limits.HOPS, ge=0, le=limits.HOPS)
    priority: Priority = Priority.NORMAL
    data_class: DataClass = DataClass.INTERNAL
    traceparent: str = Field(default="", max_length=55)


def terms_of(lease: Lease, deadline_s: float) -> StepTerms:
    """Return the terms of a lease with the seconds that are left of its deadline."""
    return StepTerms(
        run_id=lease.run_id,
        step_key=f"{lease.task_id}.{lease.step}",
        attempt=lease.attempt,
        fence=lease.fence,
        deadline_s=min(max(deadline_s, 0.001), limits.DEADLINE_MAX_S),
        hops=lease.hops,
        priority=lease.priority,
        data_class=lease.data_class,
        traceparent=lease.traceparent,
    )


def step_request(lease: Lease, files: Mapping[str, bytes], deadline_s: float | None = None) -> pb.SendMessageRequest:
    """Return the message that asks an agent to run a leased step.

    Args:
        lease: the lease.
        files: the bytes of every file of ``lease.files``, by SHA-256.
        deadline_s: seconds left now; the lease's own when absent.

    Raises:
        Invalid: the bytes of a file are missing, or the input is not JSON.
    """
    terms = terms_of(lease, lease.deadline_s if deadline_s is None else deadline_s)
    message = _message(lease, files)
    message.extensions.append(STEP_URI)
    put_terms(message, terms)
    return pb.SendMessageRequest(message=message)


def plain_request(lease: Lease, files: Mapping[str, bytes]) -> pb.SendMessageRequest:
    """Return the message that asks a foreign agent: no terms of ours, and the input's text also as a text part.

    Raises as `step_request`.
    """
    message = _message(lease, files)
    text = lease.input.get("text")
    if isinstance(text, str) and text:
        message.parts.insert(0, text_part(text))
    return pb.SendMessageRequest(message=message)


def _message(lease: Lease, files: Mapping[str, bytes]) -> pb.Message:
    parts = [data_part({"skill": lease.skill, "input": lease.input})]
    for ref in {ref.sha256: ref for ref in lease.files}.values():
        if ref.sha256 not in files:
            raise Invalid(f"the bytes of file '{ref.name}' are missing")
        parts.append(file_part(ref, files[ref.sha256]))
    return pb.Message(
        message_id=f"{lease.run_id}.{lease.fence}", context_id=lease.context_id, role=pb.ROLE_USER, parts=parts
    )


def put_terms(message: pb.Message, terms: StepTerms) -> None:
    """Write terms into a message's metadata."""
    to_value(terms.model_dump(mode="json"), message.metadata.fields[STEP_URI])


def read_terms(message: pb.Message) -> StepTerms | None:
    """Return a message's terms, or None when it has none. Raises `Invalid` when they are malformed."""
    if STEP_URI not in message.metadata.fields:
        return None
    try:
        return StepTerms.model_validate(from_value(message.metadata.fields[STEP_URI]))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise Invalid(f"{STEP_URI}: " + "; ".join(lines)) from error


def to_json(message: pb.SendMessageRequest) -> bytes:
    """Return a request as the body of ``POST /a2a/message:stream`` or ``message:send``."""
    return json_format.MessageToJson(message, indent=None).encode()


def skill_call(data: JSON) -> tuple[str, JSON] | None:
    """Return (skill, input) when a data part has our form ``{"skill": …, "input": {…}}``."""
    if isinstance(data, dict) and set(data) == {"skill", "input"} and isinstance(data["skill"], str):
        return data["skill"], data["input"]
    return None
