"""Calls an agent under contract as the runner does."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from concilium.cli.self_test import lease_of, send
from concilium.contracts.a2a.reader import Final, Progress, Started, StreamItem
from concilium.contracts.a2a.step import plain_request, step_request, to_json
from concilium.contracts.runner import Lease
from concilium.contracts.skill import SelfTestCase
from concilium.contracts.states import TaskState
from concilium.runner.agent import AgentClient, Endpoint
from concilium.workers.runtime.self_test import prepare
from contract.subjects import Subject

WAIT_S = 60.0


@dataclass
class Run:
    """A run that is being followed."""

    task: asyncio.Task[None]
    run_id: str = ""
    working: bool = False
    told: list[Progress] = field(default_factory=list)
    final: Final | None = None

    def works(self) -> bool:
        """Whether it has begun; raises what broke it."""
        if self.task.done():
            self.task.result()
        return self.working


@dataclass
class Caller:
    """Somebody who holds the agent's key."""

    subject: Subject
    session: aiohttp.ClientSession
    client: AgentClient
    endpoint: Endpoint

    def lease(self, case: SelfTestCase, **terms: Any) -> Lease:
        """Return a lease of a new task for a case, changed by ``terms``."""
        skill = self.subject.skill(case)
        made = lease_of(self.subject.manifest, case, prepare(case, self.subject.folder), skill.deadline_s)
        return made.model_copy(update=terms)

    def stream(self, case: SelfTestCase, lease: Lease | None = None) -> AsyncIterator[StreamItem]:
        """Send a case and yield what the agent says. Raises `AgentRefused`."""
        given = prepare(case, self.subject.folder)
        return send(self.client, self.endpoint, lease or self.lease(case), given.files)

    async def run(self, case: SelfTestCase, lease: Lease | None = None) -> Final:
        """Send a case and return its end."""
        run = self.follow(case, lease)
        await run.task
        assert run.final is not None
        return run.final

    def follow(self, case: SelfTestCase, lease: Lease | None = None) -> Run:
        """Send a case and follow its run in the background."""
        run = Run(task=asyncio.create_task(asyncio.sleep(0)))
        run.task = asyncio.create_task(self._follow(run, self.stream(case, lease)))
        return run

    async def cancel(self, run: Run) -> None:
        """Cancel a run and wait for its end."""
        assert await self.client.cancel(self.endpoint, run.run_id)
        await asyncio.wait_for(run.task, WAIT_S)

    async def state(self, run: Run) -> TaskState:
        """Return the state that the agent tells when it is asked for the run."""
        first, *_ = await self.client.get(self.endpoint, run.run_id)
        assert isinstance(first, Started)
        return first.state

    def request(self, case: SelfTestCase) -> dict[str, Any]:
        """Return the JSON of the request for a case, to be spoilt."""
        given, lease = prepare(case, self.subject.folder), self.lease(case)
        make = step_request if self.endpoint.steps else plain_request
        found: dict[str, Any] = json.loads(to_json(make(lease, given.files)))
        return found

    async def post(self, body: bytes | dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        """Post a body to ``message:send``; return status and JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        shown = {name: value for name, value in {**self.endpoint.headers, **headers}.items() if value}
        async with self.session.post(
            self.endpoint.url + "/message:send", data=io.BytesIO(data), headers=shown
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _follow(self, run: Run, items: AsyncIterator[StreamItem]) -> None:
        async for item in items:
            self._note(run, item)
        if run.final is None:
            # a2a-sdk may end the stream of a canceled task before its last status.
            for item in await self.client.get(self.endpoint, run.run_id):
                self._note(run, item)

    def _note(self, run: Run, item: StreamItem) -> None:
        if isinstance(item, Final):
            run.final = item
        elif isinstance(item, Progress):
            run.told.append(item)
            run.working = True
        else:
            run.run_id = item.run_id
            run.working = run.working or item.state is TaskState.WORKING


async def until(true: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Wait for a condition of another process."""
    async with asyncio.timeout(wait_s):
        while not true():  # noqa: ASYNC110 - the other process has no event to wait for
            await asyncio.sleep(0.02)
