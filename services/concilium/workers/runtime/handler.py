"""A2A's operations on the runs of one agent service."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from a2a.server.context import ServerCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors as sdk

from concilium.contracts.a2a.errors import to_a2a
from concilium.contracts.a2a.handler import PushlessHandler
from concilium.contracts.a2a.parts import read_parts
from concilium.contracts.a2a.step import StepTerms, read_terms
from concilium.contracts.base import new_id
from concilium.contracts.errors import ConciliumError, Conflict, Invalid, Unavailable
from concilium.contracts.limits import DEADLINE_MAX_S
from concilium.workers.runtime.run import Call, Run, StreamEvent
from concilium.workers.runtime.runs import Runs
from concilium.workers.runtime.skillset import SkillSet

_PAGE = 50
_PAGE_MAX = 100


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Turn our refusals into A2A's."""
    try:
        yield
    except Conflict as error:
        raise sdk.TaskNotCancelableError(error.detail) from error
    except ConciliumError as error:
        raise to_a2a(error) from error


class AgentHandler(PushlessHandler):
    """Serves A2A requests; the caller has shown the mesh key, so the step extension is honoured."""

    def __init__(self, skills: SkillSet, runs: Runs) -> None:
        self._skills = skills
        self._runs = runs

    async def on_message_send(self, params: pb.SendMessageRequest, _context: ServerCallContext) -> pb.Task:
        """Start or attach; answer when the run has ended, or at once if asked to."""
        with _refusals():
            run = self._begin(params.message)
            if isinstance(run, pb.Task):
                return run
            if not params.configuration.return_immediately:
                await run.finished.wait()
            if run.abandoned:
                raise Unavailable("the agent is stopping; send again")
            return run.snapshot()

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, _context: ServerCallContext
    ) -> AsyncGenerator[StreamEvent]:
        """Start or attach; stream the task, its progress, artifacts and final status."""
        with _refusals():
            run = self._begin(params.message)
        async for event in _stream(run):
            yield event

    async def on_subscribe_to_task(
        self, params: pb.SubscribeToTaskRequest, _context: ServerCallContext
    ) -> AsyncGenerator[StreamEvent]:
        """Stream a run that has not ended. A2A refuses it for an ended task: use get."""
        with _refusals():
            run = self._runs.get(params.id)
        if isinstance(run, pb.Task) or run.finished.is_set():
            raise sdk.UnsupportedOperationError(f"task '{params.id}' has ended; get it")
        async for event in _stream(run):
            yield event

    async def on_get_task(self, params: pb.GetTaskRequest, _context: ServerCallContext) -> pb.Task:
        """Return a run as a task."""
        with _refusals():
            return _task(self._runs.get(params.id))

    async def on_cancel_task(self, params: pb.CancelTaskRequest, _context: ServerCallContext) -> pb.Task:
        """End a run within a second."""
        with _refusals():
            return await self._runs.cancel(params.id)

    async def on_list_tasks(self, params: pb.ListTasksRequest, _context: ServerCallContext) -> pb.ListTasksResponse:
        """List runs, newest first; the page token is the id of the last one seen."""
        size = min(params.page_size or _PAGE, _PAGE_MAX)
        ids = self._runs.all_newest_first()
        start = ids.index(params.page_token) + 1 if params.page_token in ids else 0
        answer = pb.ListTasksResponse(page_size=size, total_size=len(ids))
        for run_id in ids[start:]:
            with contextlib.suppress(ConciliumError):  # it was swept away meanwhile
                task = _task(self._runs.get(run_id))
                if _wanted(task, params):
                    answer.tasks.append(task)
            if len(answer.tasks) == size:
                answer.next_page_token = run_id
                break
        return answer

    def _begin(self, message: pb.Message) -> Run | pb.Task:
        terms = read_terms(message)
        if message.task_id and (terms is None or terms.run_id != message.task_id):
            self._runs.get(message.task_id)
            raise Invalid("this agent asks nothing back: a task takes one message")
        if not message.message_id:
            raise Invalid("message.messageId is missing")
        content = read_parts(message.parts)
        runnable, data = self._skills.choose(content)
        files = content.bytes_by_sha256
        runnable.check_input(data, files)
        if terms is None:
            run_id = new_id("run")
            deadline_s = min(runnable.skill.deadline_s, DEADLINE_MAX_S)
            terms = StepTerms(run_id=run_id, step_key=run_id, deadline_s=deadline_s)
        context_id = message.context_id or new_id("ctx")
        return self._runs.begin(Call(terms, runnable, data, files, context_id))


def _task(run: Run | pb.Task) -> pb.Task:
    return run if isinstance(run, pb.Task) else run.snapshot()


def _wanted(task: pb.Task, params: pb.ListTasksRequest) -> bool:
    return (not params.context_id or task.context_id == params.context_id) and (
        not params.status or task.status.state == params.status
    )


async def _stream(run: Run | pb.Task) -> AsyncIterator[StreamEvent]:
    if isinstance(run, pb.Task):
        yield run
        return
    async for event in run.follow():
        yield event
