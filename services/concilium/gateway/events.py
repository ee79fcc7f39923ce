"""`GET /v1/tasks/{id}/events`: a task's events as they are committed, resumable by number.

Server-sent events after the HTML standard: ``id`` is the event's number within its task, ``event`` its kind. A client
that reconnects sends the last number it saw as ``Last-Event-ID`` and misses nothing, also over a restart of the server.
The stream ends after the event that ends the task; cut off earlier, it says nothing of the task.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from concilium.contracts.base import JSON
from concilium.contracts.errors import BadRequest, ConciliumError
from concilium.contracts.task import Event, StateEvent, TaskView
from concilium.gateway.auth import Scope
from concilium.gateway.openapi import SECURED, problems
from concilium.gateway.state import Gateway
from concilium.gateway.tasks import READS, owned, router

HEARTBEAT_S = 15.0
PAGE = 500
SEQ_MAX = 2**53
EVENT_STREAM = "text/event-stream"

_FRAME: dict[str, JSON] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
}
"""One server-sent event; ``data`` is an `Event` as JSON."""


@router.get(
    "/{task_id}/events",
    summary="Follow a task",
    response_class=Response,
    responses={
        200: {
            "description": "The events after the given number: a stream, or a list when JSON is asked for.",
            "content": {
                EVENT_STREAM: {"schema": _FRAME},
                "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}},
            },
        },
        **READS,
        **problems(400),
    },
    openapi_extra=SECURED
    | {
        "parameters": [
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "integer", "minimum": 0}}
        ]
    },
)
async def get_events(
    request: Request,
    task_id: str,
    after: Annotated[int, Query(ge=0, le=SEQ_MAX, description="Only events with a higher number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE, description="Length of a JSON list at most.")] = PAGE,
) -> Response:
    """Return the task's events, live by default."""
    gateway, task = await owned(request, task_id, Scope.READ)
    after = max(after, _last_event_id(request))
    if _wants_json(request):
        found = await gateway.ledger.events(task.id, after=after, limit=limit)
        return Response(json_list(found), media_type="application/json")
    return StreamingResponse(
        stream(gateway, task, after),
        media_type=EVENT_STREAM,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def stream(gateway: Gateway, task: TaskView, after: int) -> AsyncIterator[bytes]:
    """Yield a task's events after a number as server-sent events, until the task ended or the server stops."""
    # Sent at once, so that the caller's side knows that it is connected.
    yield b": stream\n\n"
    task_id, over = task.id, task.state.terminal
    while not gateway.closing.is_set():
        try:
            found = await gateway.ledger.events(task_id, after=after, limit=PAGE)
        except ConciliumError:
            return  # the ledger is away: the caller reconnects with the last number
        if found:
            after = found[-1].seq
            over = over or any(_terminal(event) for event in found)
            yield b"".join(map(frame, found))
        elif over:
            return
        if len(found) < PAGE and not over and not await gateway.wait(task_id, after, HEARTBEAT_S):
            yield b": still here\n\n"


def frame(event: Event) -> bytes:
    """Return one event in the stream's form."""
    return f"id: {event.seq}\nevent: {event.body.kind}\ndata: {event.model_dump_json()}\n\n".encode()


def json_list(events: Sequence[Event]) -> bytes:
    """Return events as a JSON array."""
    return b"[" + b",".join(event.model_dump_json().encode() for event in events) + b"]"


def _terminal(event: Event) -> bool:
    return isinstance(event.body, StateEvent) and event.body.state.terminal


def _last_event_id(request: Request) -> int:
    value = request.headers.get("last-event-id", "0").strip() or "0"
    if not (value.isascii() and value.isdigit() and len(value) <= 16):
        raise BadRequest("Last-Event-ID must be the number of an event")
    return int(value)


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and EVENT_STREAM not in accept
