"""`/v1/tasks`: list, look, cancel, answer a question, replay."""

import re
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from concilium.contracts import limits
from concilium.contracts.base import Model
from concilium.contracts.errors import NotFound
from concilium.contracts.states import TaskState
from concilium.contracts.task import TaskView
from concilium.contracts.turn import StepRun
from concilium.gateway.ask import accepted
from concilium.gateway.auth import Scope
from concilium.gateway.body import read_model
from concilium.gateway.openapi import SECURED, json_body, problems
from concilium.gateway.state import Gateway, gateway_of

router = APIRouter(tags=["tasks"], prefix="/v1/tasks")

_TASK_ID = re.compile(r"[a-z0-9_]{1,64}")
READS = problems(401, 403, 404, 422, 429, 503)
WRITES = problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)


class TaskPage(Model):
    """Tasks, newest first."""

    tasks: tuple[TaskView, ...]
    next: str | None = None
    """Pass it as ``before`` for the page that follows; absent on the last page."""


class CancelBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="", max_length=500)


class ReplyBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=limits.TEXT_CHARS)


async def owned(request: Request, task_id: str, scope: Scope) -> tuple[Gateway, TaskView]:
    """Return the control plane and a task the caller may see; raises what the route documents."""
    gateway = gateway_of(request)
    caller = await gateway.auth.require(request, scope)
    if not _TASK_ID.fullmatch(task_id):
        raise NotFound("that is not a task id")
    return gateway, await gateway.visible_task(task_id, caller)


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """Return a model as JSON; it was validated when it was made."""
    return Response(model.model_dump_json(), status, media_type="application/json")


@router.get(
    "",
    summary="List tasks",
    response_model=TaskPage,
    openapi_extra=SECURED,
    responses=problems(401, 403, 422, 429, 503),
)
async def list_tasks(
    request: Request,
    state: Annotated[TaskState | None, Query(description="Only tasks in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,64}$", description="`next` of the page before.")] = None,
) -> Response:
    """Return the caller's tasks, newest first; an admin sees all."""
    gateway = gateway_of(request)
    caller = await gateway.auth.require(request, Scope.READ)
    key_id = None if caller.admin else caller.key_id
    found = await gateway.ledger.list_tasks(key_id=key_id, state=state, limit=limit + 1, before=before)
    page = found[:limit]
    return json_answer(TaskPage(tasks=tuple(page), next=page[-1].id if len(found) > limit else None))


@router.get("/{task_id}", summary="Look at a task", response_model=TaskView, openapi_extra=SECURED, responses=READS)
async def get_task(request: Request, task_id: str) -> Response:
    """Return the task with its answer, question or problem and its artifacts."""
    _, task = await owned(request, task_id, Scope.READ)
    return json_answer(task)


class StepList(Model):
    """Every attempt of every step, in the order they were made."""

    steps: tuple[StepRun, ...]


@router.get("/{task_id}/steps", summary="List steps", response_model=StepList, openapi_extra=SECURED, responses=READS)
async def get_steps(request: Request, task_id: str) -> Response:
    """Return the task's attempts with agent, node, input, output and duration."""
    gateway, task = await owned(request, task_id, Scope.READ)
    return json_answer(StepList(steps=tuple(await gateway.ledger.steps(task.id))))


@router.post(
    "/{task_id}/cancel",
    summary="Cancel a task",
    response_model=TaskView,
    responses=WRITES,
    openapi_extra=SECURED
    | {
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CancelBody"}}},
        }
    },
)
async def cancel(request: Request, task_id: str) -> Response:
    """Cancel the task and all its steps; 409 when it already ended."""
    gateway, task = await owned(request, task_id, Scope.WRITE)
    wish = await read_model(request, CancelBody) if await request.body() else CancelBody()
    return json_answer(await gateway.cancel(task.id, wish.reason))


@router.post(
    "/{task_id}/reply",
    summary="Answer a question",
    status_code=202,
    response_model=TaskView,
    responses={200: {"model": TaskView, "description": "The answer ended the task."}, **WRITES},
    openapi_extra=SECURED | json_body("ReplyBody"),
)
async def reply(request: Request, task_id: str) -> Response:
    """Answer what the task asks while it is ``input-required``; 409 when it asks nothing."""
    gateway, task = await owned(request, task_id, Scope.WRITE)
    answer = await read_model(request, ReplyBody)
    submitted = await gateway.ledger.reply(task.id, answer.text)
    gateway.ring(submitted.rings)
    return accepted(submitted.task)


@router.post(
    "/{task_id}/replay",
    summary="Ask the same again",
    status_code=202,
    response_model=TaskView,
    responses={200: {"model": TaskView, "description": "The new task ended at once."}, **READS, **problems(409)},
    openapi_extra=SECURED,
)
async def replay(request: Request, task_id: str) -> Response:
    """Submit the same request as a new task, whose ``replay_of`` names the old one."""
    gateway, task = await owned(request, task_id, Scope.WRITE)
    submitted = await gateway.ledger.replay(task.id, task.key_id, request.state.trace.traceparent)
    gateway.ring(submitted.rings)
    return accepted(submitted.task, warning=submitted.warning)
