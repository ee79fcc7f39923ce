"""One run of a skill, as those who follow it see it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from a2a.types import a2a_pb2 as pb

from concilium.contracts.a2a import events
from concilium.contracts.a2a.step import StepTerms
from concilium.contracts.base import JSON
from concilium.contracts.limits import PROGRESS_EVERY_S
from concilium.contracts.states import TaskState
from concilium.contracts.task import Problem
from concilium.engine import Meter
from concilium.workers.runtime.skillset import RunnableSkill

StreamEvent = pb.Task | pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``abandoned``: the service stopped; nothing is recorded, the run is unknown again."""

    kind: Literal["completed", "failed", "canceled", "abandoned"]
    artifacts: tuple[pb.Artifact, ...] = ()
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request to run a skill, already checked."""

    terms: StepTerms
    runnable: RunnableSkill
    input: JSON
    files: dict[str, bytes]
    context_id: str


@dataclass(eq=False)
class Run:
    """A run that has not been forgotten yet. Changes happen on the event loop only."""

    call: Call
    terms: StepTerms
    """The call's terms; the fence rises when a new lease holder attaches."""
    deadline_at: float
    """``time.monotonic()``."""
    state: TaskState
    """``submitted`` while it waits for a slot, an older attempt's end or the agent's warm-up."""
    meter: Meter = field(default_factory=Meter)
    """Counts what the skill asks of its engine."""
    executing: bool = False
    """The skill's code has been started."""
    result: pb.Task | None = None
    abandoned: bool = False
    stop: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Resolved to end the run from outside."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """The outcome is known."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """The skill's code no longer runs, its slot is free, its folder removed."""
    _note: tuple[int, float | None, str] = (0, None, "")
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def run_id(self) -> str:
        return self.terms.run_id

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self.deadline_at - time.monotonic())

    def work(self) -> None:
        """A slot was found: the skill starts."""
        self.state = TaskState.WORKING
        self.executing = True
        self._wake()

    async def report(self, fraction: float | None, message: str) -> None:
        """Take a progress note; only the newest is kept."""
        number = self._note[0] + 1
        clipped = None if fraction is None else min(max(fraction, 0.0), 1.0)
        self._note = (number, clipped, message[:500])
        self._wake()

    def finish(self, result: pb.Task | None) -> None:
        """Make the outcome known; None when the run was abandoned."""
        self.result = result
        self.abandoned = result is None
        self.finished.set()
        self._wake()

    def request_stop(self, outcome: Outcome) -> None:
        """End the run from outside; the first reason wins."""
        if not self.stop.done():
            self.stop.set_result(outcome)

    def snapshot(self) -> pb.Task:
        """Return the run as an A2A task."""
        return self.result or events.task(self.run_id, self.call.context_id, events.status(self.state))

    async def follow(self) -> AsyncIterator[StreamEvent]:
        """Yield the task as it is now, then progress, artifacts and the final status; ends early when abandoned."""
        yield self.snapshot()
        if self.result is not None:
            return
        seen, told = 0, self.state
        while not self.finished.is_set():
            changed = self._changed
            number, fraction, message = self._note
            if self.state is not told:
                told = self.state
                yield events.state_update(self.run_id, self.call.context_id, events.status(told))
                continue
            if number > seen:
                seen = number
                yield events.progress(self.run_id, self.call.context_id, fraction, message, number)
                await _settle(self.finished, PROGRESS_EVERY_S)
                continue
            await changed.wait()
        for event in self._end():
            yield event

    def _end(self) -> list[StreamEvent]:
        return [] if self.result is None else final_events(self.result)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def final_events(task: pb.Task) -> list[StreamEvent]:
    """Return a finished task as the end of a stream."""
    artifacts = [events.artifact_update(task.id, task.context_id, artifact) for artifact in task.artifacts]
    return [*artifacts, events.final_update(task)]


async def _settle(event: asyncio.Event, limit_s: float) -> None:
    """Wait until the event, at most ``limit_s`` seconds."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return
