"""Runs an agent's self-test against a service, calling it as the runner does."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from concilium.contracts.a2a.reader import Final, Progress, Started, StreamItem
from concilium.contracts.a2a.step import plain_request, step_request, to_json
from concilium.contracts.base import new_id
from concilium.contracts.errors import ConciliumError
from concilium.contracts.limits import HOPS
from concilium.contracts.runner import Lease
from concilium.contracts.skill import AgentManifest, SelfTestCase
from concilium.contracts.states import TaskState
from concilium.contracts.task import DataClass, Priority
from concilium.runner.agent import AgentAway, AgentClient, AgentRefused, Endpoint
from concilium.runner.endpoints import find
from concilium.workers.runtime.self_test import Input, judge, prepare

CANCEL_S = 1.0
"""A canceled run must have ended within this time."""
LATE_S = 10.0
"""A run that has not ended so long after its deadline is given up."""


@dataclass(frozen=True)
class CaseResult:
    """What came of one case."""

    title: str
    skill: str
    result: Literal["passed", "failed", "skipped"]
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Tester:
    """An agent's self-test against one service."""

    agent: AgentManifest
    folder: Path
    """Where its ``agent.yaml`` is, for the cases' files."""
    base_url: str
    shown: Mapping[str, str]
    """The headers that show who calls."""
    engine: bool
    """Whether the agent has an engine to ask."""

    async def run(self) -> AsyncIterator[CaseResult]:
        """Run the cases one after the other."""
        async with aiohttp.ClientSession(trust_env=False) as session:
            client = AgentClient(session)
            for case in self.agent.self_test:
                yield await self._case(client, case)

    async def _case(self, client: AgentClient, case: SelfTestCase) -> CaseResult:
        began = time.monotonic()
        title = case.title or case.skill
        if case.engine is not None and case.engine is not self.engine:
            why = "an engine is configured" if self.engine else "no engine is configured"
            return CaseResult(title, case.skill, "skipped", 0.0, why)
        wrong = await self._verdict(client, case)
        seconds = round(time.monotonic() - began, 2)
        return CaseResult(title, case.skill, "failed" if wrong else "passed", seconds, wrong)

    async def _verdict(self, client: AgentClient, case: SelfTestCase) -> str:
        """Return what was wrong with one case; empty when nothing was."""
        skill = next(skill for skill in self.agent.skills if skill.name == case.skill)
        try:
            async with asyncio.timeout(skill.deadline_s + LATE_S):
                endpoint = await find(client, self.agent, self.base_url, lambda: self.shown)
                given = prepare(case, self.folder)
                items = send(client, endpoint, lease_of(self.agent, case, given, skill.deadline_s), given.files)
                if case.slow:
                    return await _canceled(client, endpoint, items)
                return await self._ended(case, items)
        except AgentRefused as error:
            said = f"refused: {error.problem.type}: {error.problem.detail} (HTTP {error.status})"
            return "" if error.problem.type == case.fails else said
        except AgentAway as error:
            return f"the agent at {self.base_url} was not reached, or broke off ({error.reason})"
        except TimeoutError:
            return f"no end {LATE_S:g} s after the deadline of {skill.deadline_s:g} s"
        except ConciliumError as error:
            return error.detail

    async def _ended(self, case: SelfTestCase, items: AsyncIterator[StreamItem]) -> str:
        told = False
        async for item in items:
            told = told or isinstance(item, Progress)
            if isinstance(item, Final):
                wrong = judge(case, self.agent, item)
                return wrong or ("the run told no progress" if case.progress and not told else "")
        return "the stream ended without a final state"


def lease_of(agent: AgentManifest, case: SelfTestCase, given: Input, deadline_s: float) -> Lease:
    """Return a lease of a fresh task for a case."""
    return Lease(
        task_id=new_id("tsk"),
        step="test",
        attempt=1,
        fence=1,
        deadline_s=deadline_s,
        agent=agent.name,
        skill=case.skill,
        effects=next(skill.effects for skill in agent.skills if skill.name == case.skill),
        input=given.data,
        files=given.refs,
        context_id=new_id("ctx"),
        hops=HOPS,
        priority=Priority.NORMAL,
        data_class=DataClass.INTERNAL,
        traceparent="",
    )


def send(
    client: AgentClient, endpoint: Endpoint, lease: Lease, files: Mapping[str, bytes]
) -> AsyncIterator[StreamItem]:
    """Send a step as the runner does, with our terms when the agent knows them."""
    request = step_request(lease, files) if endpoint.steps else plain_request(lease, files)
    return client.stream(endpoint, to_json(request))


async def _canceled(client: AgentClient, endpoint: Endpoint, items: AsyncIterator[StreamItem]) -> str:
    run_id, asked_at = "", 0.0
    async for item in items:
        if isinstance(item, Final):
            return _judge_cancel(item, asked_at)
        if isinstance(item, Started):
            run_id = item.run_id or run_id
        works = isinstance(item, Progress) or (isinstance(item, Started) and item.state is TaskState.WORKING)
        if works and not asked_at:
            asked_at = time.monotonic()
            if not await client.cancel(endpoint, run_id):
                return "the agent refused to cancel the run"
    # a2a-sdk may end the stream of a canceled task before its last status.
    for item in await client.get(endpoint, run_id) if run_id else ():
        if isinstance(item, Final):
            return _judge_cancel(item, asked_at)
    return "the stream ended without a final state"


def _judge_cancel(final: Final, asked_at: float) -> str:
    if not asked_at:
        return f"ended as {final.state} before it could be canceled"
    took = time.monotonic() - asked_at
    if final.state is not TaskState.CANCELED:
        return f"ended as {final.state} when it was canceled"
    return f"ended {took:.2f} s after the cancel, at most {CANCEL_S:g} s are allowed" if took > CANCEL_S else ""
