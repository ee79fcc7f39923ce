"""The brain as an A2A agent: ``/a2a`` of the control plane, and its card.

A message becomes a request (text, data as JSON text, files as blobs), a message to a task that asks becomes the reply.
Tasks, states and answers are the ledger's; `contracts.a2a` puts them on the wire.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import orjson
from a2a.server.context import ServerCallContext
from a2a.server.routes.common import ServerCallContextBuilder
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors as sdk
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from concilium import __version__
from concilium.contracts import limits
from concilium.contracts.a2a import tasks as wire
from concilium.contracts.a2a.card import CARD_PATH, PREFIX, brain_card, card_json
from concilium.contracts.a2a.errors import refusal, to_a2a
from concilium.contracts.a2a.handler import PushlessHandler
from concilium.contracts.a2a.parts import Content, read_parts
from concilium.contracts.a2a.step import StepTerms, read_terms
from concilium.contracts.a2a.values import state_from_wire
from concilium.contracts.errors import ConciliumError, IllegalTransition, Invalid
from concilium.contracts.parts import FileRef
from concilium.contracts.states import TaskState
from concilium.contracts.task import DataClass, Priority, Submission, TaskView
from concilium.contracts.task import Request as Wish
from concilium.gateway.ask import Upload, idempotency_key, store
from concilium.gateway.auth import Caller, Scope
from concilium.gateway.state import Gateway

POLL_S = 15.0
"""How often a waiting call looks whether its caller is still there."""
PAGE = 50
PAGE_MAX = 100
EVENTS_MAX = 500
CONTEXT_CHARS = 128

StreamEvent = pb.Task | pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent


def mount_a2a(app: FastAPI, gateway: Gateway) -> None:
    """Serve the brain's card and A2A 1.0 and 0.3 over HTTP+JSON."""
    config = gateway.home.config
    card = card_json(brain_card(gateway.home.catalog.agents.values(), __version__, config.gateway.url))

    async def get_card(_request: Request) -> Response:
        return JSONResponse(card)

    app.router.routes.append(Route(CARD_PATH, get_card, methods=["GET"]))
    routes = create_rest_routes(
        BrainHandler(gateway), context_builder=_Contexts(), path_prefix=PREFIX, enable_v0_3_compat=True
    )
    for route in routes:
        # The SDK's last route is a mount for tenants under any path; the mesh has none.
        if isinstance(route, Route):
            guarded = _guarded(gateway, route)
            app.router.routes.append(Route(route.path, guarded, methods=list(route.methods or ())))


def _guarded(gateway: Gateway, route: Route) -> Callable[[Request], Awaitable[Response]]:
    """Return a route's endpoint behind the key check and the body limit, which refuse in A2A's words."""
    reads = "GET" in (route.methods or ()) or route.path.endswith(":subscribe")

    async def serve(request: Request) -> Response:
        try:
            request.state.caller = await gateway.auth.require(request, Scope.READ if reads else Scope.WRITE)
            await request.body()
        except ConciliumError as error:
            status, body = refusal(error)
            headers = {"WWW-Authenticate": 'Bearer realm="concilium"'} if status == 401 else None
            return Response(body, status, headers, "application/json")
        answer: Response = await route.endpoint(request)
        return answer

    return serve


class _Contexts(ServerCallContextBuilder):
    """Hands the request and its caller to the handler."""

    def build(self, request: Request) -> ServerCallContext:
        """Return the context of a request that `_guarded` let through."""
        return ServerCallContext(state={"headers": dict(request.headers), "request": request})


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn our refusals into A2A's."""
    try:
        yield
    except ConciliumError as error:
        raise to_a2a(error) from error


def _request(context: ServerCallContext) -> Request:
    request: Request = context.state["request"]
    return request


def _caller(context: ServerCallContext) -> Caller:
    caller: Caller = _request(context).state.caller
    return caller


def _over(view: TaskView) -> bool:
    """Whether nothing happens to a task without its caller."""
    return view.state.terminal or view.state in {TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED}


class BrainHandler(PushlessHandler):
    """Serves A2A requests from the ledger."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._url = gateway.home.config.gateway.url

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        """Accept a message; answer when the task ended or asks, or at once if asked to."""
        with _refusals():
            view = await self._accept(params.message, context)
            if not params.configuration.return_immediately:
                view = await self._until_over(view, _request(context))
            return await self._task(view, history=_history(params.configuration))

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[StreamEvent]:
        """Accept a message; stream the task, its steps and its answer."""
        with _refusals():
            view = await self._accept(params.message, context)
            async for event in self._stream(view):
                yield event

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[StreamEvent]:
        """Stream a task that has not ended. A2A refuses it for an ended task: use get."""
        with _refusals():
            view = await self._gateway.visible_task(params.id, _caller(context))
            if view.state.terminal:
                raise sdk.UnsupportedOperationError(f"task '{params.id}' has ended; get it")
            async for event in self._stream(view):
                yield event

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        """Return a task."""
        with _refusals():
            view = await self._gateway.visible_task(params.id, _caller(context))
            return await self._task(view, history=_history(params))

    async def on_cancel_task(self, params: pb.CancelTaskRequest, context: ServerCallContext) -> pb.Task:
        """Cancel a task and all its steps."""
        with _refusals():
            view = await self._gateway.visible_task(params.id, _caller(context))
            try:
                view = await self._gateway.cancel(view.id, "canceled over A2A")
            except IllegalTransition as error:
                raise sdk.TaskNotCancelableError(error.detail) from error
            return await self._task(view)

    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        """List tasks, newest first; the page token is the last id seen, ``totalSize`` counts what is returned."""
        size = min(params.page_size or PAGE, PAGE_MAX)
        caller = _caller(context)
        answer = pb.ListTasksResponse(page_size=size)
        with _refusals():
            state = state_from_wire(params.status) if params.status else None
            key_id = None if caller.admin else caller.key_id
            before = params.page_token or None
            while len(answer.tasks) < size:
                page = await self._gateway.ledger.list_tasks(key_id, state, PAGE_MAX, before)
                for view in page:
                    before = view.id
                    if _wanted(view, params):
                        answer.tasks.append(await self._task(view, history=_history(params)))
                    if len(answer.tasks) == size:
                        answer.next_page_token = view.id
                        break
                if len(page) < PAGE_MAX:
                    break
        answer.total_size = len(answer.tasks)
        return answer

    async def _accept(self, message: pb.Message, context: ServerCallContext) -> TaskView:
        content = read_parts(message.parts)
        if message.task_id:
            return await self._reply(message.task_id, content, _caller(context))
        submission = await self._submission(message, content, context)
        submitted = await self._gateway.submit(submission)
        return submitted.task

    async def _reply(self, task_id: str, content: Content, caller: Caller) -> TaskView:
        view = await self._gateway.visible_task(task_id, caller)
        if view.state is not TaskState.INPUT_REQUIRED:
            raise sdk.UnsupportedOperationError(f"task '{task_id}' asks nothing; send a new message without taskId")
        if content.files or not content.text.strip():
            raise Invalid("answer the question with text")
        submitted = await self._gateway.ledger.reply(task_id, content.text)
        self._gateway.ring(submitted.rings)
        return submitted.task

    async def _submission(self, message: pb.Message, content: Content, context: ServerCallContext) -> Submission:
        request, caller = _request(context), _caller(context)
        text = "\n\n".join((*content.texts, *(orjson.dumps(data).decode() for data in content.data)))
        if not text.strip() and not content.files:
            raise Invalid("say what you want: send text, files or both")
        if len(text) > limits.TEXT_CHARS or len(message.context_id) > CONTEXT_CHARS:
            raise Invalid(f"text has at most {limits.TEXT_CHARS} characters, contextId {CONTEXT_CHARS}")
        terms = read_terms(message) if Scope.NODES in caller.scopes else None
        if terms is not None and terms.hops == 0:
            raise Invalid("the hop count is used up: the request has passed through too many agents")
        uploads = [Upload(ref.name, ref.media_type, data) for ref, data in content.files]
        files = await store(self._gateway, uploads, caller.key_id)
        base = Submission(
            request=Wish(text=text, files=files),
            key_id=caller.key_id,
            operation="a2a",
            idempotency_key=idempotency_key(request) or _message_id(message),
            context_id=message.context_id or None,
            traceparent=request.state.trace.traceparent,
            execution_id=request.state.trace.execution_id,
        )
        return base if terms is None else _lowered(base, terms)

    async def _until_over(self, view: TaskView, request: Request) -> TaskView:
        while not _over(view):
            news = await self._gateway.wait(view.id, view.last_seq, POLL_S)
            if self._gateway.closing.is_set() or (not news and await request.is_disconnected()):
                break
            view = await self._gateway.ledger.get(view.id)
        return view

    async def _stream(self, view: TaskView) -> AsyncGenerator[StreamEvent]:
        # A caller that leaves ends this generator: the response listens for it.
        yield await self._task(view)
        if _over(view):
            return
        seen = view.last_seq
        while not self._gateway.closing.is_set():
            for event in await self._gateway.ledger.events(view.id, after=seen, limit=EVENTS_MAX):
                seen = event.seq
                said = wire.event_of(event, view.context_id)
                if said is not None:
                    yield said
            view = await self._gateway.ledger.get(view.id)
            if _over(view) and view.last_seq <= seen:
                for last in wire.final_events(await self._task(view)):
                    yield last
                return
            if view.last_seq <= seen:
                await self._gateway.wait(view.id, seen, POLL_S)

    async def _task(self, view: TaskView, *, history: bool = True) -> pb.Task:
        small = {ref.sha256 for ref in wire.files_of(view) if ref.size <= limits.INLINE_ARTIFACT_BYTES}
        inline: dict[str, bytes] = {}
        for sha256 in small:
            path = await self._gateway.ledger.open_blob(sha256)
            inline[sha256] = await asyncio.to_thread(path.read_bytes)

        def link_to(ref: FileRef) -> str:
            return f"{self._url}/v1/tasks/{view.id}/files/{ref.sha256}"

        return wire.task_of(view, inline, link_to, history=history)


def _message_id(message: pb.Message) -> str:
    if not 0 < len(message.message_id) <= 255:
        raise Invalid("messageId has 1 to 255 characters")
    return message.message_id


def _lowered(base: Submission, terms: StepTerms) -> Submission:
    """Return a submission under a mesh peer's terms: each may only lower what holds anyway."""
    strict = [DataClass.PUBLIC, DataClass.INTERNAL, DataClass.PRIVATE]
    return base.model_copy(
        update={
            "deadline_s": min(base.deadline_s, terms.deadline_s),
            "hops": min(base.hops, terms.hops - 1),
            "priority": max(base.priority, terms.priority, key=lambda p: Priority(p).rank),
            "data_class": max(base.data_class, terms.data_class, key=strict.index),
            "idempotency_key": terms.run_id,
            "traceparent": terms.traceparent or base.traceparent,
        }
    )


def _history(asked: pb.SendMessageConfiguration | pb.GetTaskRequest | pb.ListTasksRequest) -> bool:
    """Whether the caller's messages come along: unless a length of 0 is asked for."""
    return not asked.HasField("history_length") or asked.history_length > 0


def _wanted(view: TaskView, params: pb.ListTasksRequest) -> bool:
    after = params.status_timestamp_after
    changed = (
        not params.HasField("status_timestamp_after") or view.updated_at.timestamp() >= after.ToMicroseconds() / 1e6
    )
    return changed and (not params.context_id or view.context_id == params.context_id)
