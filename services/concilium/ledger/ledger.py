"""The ledger as the control plane sees it: one async method per operation."""

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Awaitable, Mapping
from datetime import datetime
from pathlib import Path

from concilium.contracts.base import JSON
from concilium.contracts.config import RetentionConfig
from concilium.contracts.errors import ConciliumError, NotFound, StaleLease
from concilium.contracts.prices import EngineUse
from concilium.contracts.runner import ClaimRequest, Completion, Held, Lease, ProgressRequest, RenewReply, RenewRequest
from concilium.contracts.states import TaskState
from concilium.contracts.task import Event, Submission, TaskView
from concilium.contracts.turn import StepRun
from concilium.ledger import control, leases, outbox, reads, retention, spending, sweep, thinking
from concilium.ledger.accounts import Accounts
from concilium.ledger.attach import attach, store_files
from concilium.ledger.claim import claim
from concilium.ledger.codec import at
from concilium.ledger.collect import collect
from concilium.ledger.complete import complete
from concilium.ledger.fleet import Fleet
from concilium.ledger.models import (
    Advanced,
    Completed,
    Delivery,
    DeliveryState,
    GcReport,
    History,
    Stats,
    Submitted,
    Swept,
    Thought,
)
from concilium.ledger.months import month_of
from concilium.ledger.shelf import Shelf
from concilium.ledger.submit import submit

_log = logging.getLogger(__name__)
_FROZEN_S = 5.0
"""Sweeps further apart than a lease's time plus this mean that the process stood still, and nobody could renew."""


class Ledger(Accounts, Fleet, Shelf):
    """Tasks, steps, events, leases, callbacks, keys, nodes, blobs and adapters. Made by `open`.

    Every method raises `Unavailable` while the database or the disk cannot be used.
    """

    # Tasks

    async def submit(self, submission: Submission) -> Submitted:
        """Accept a task.

        Raises `IdempotencyConflict`, `BudgetExhausted`, `NotFound` for a file that was not put, `Unavailable`.
        """
        self._space.check()
        if submission.request.files:
            await asyncio.to_thread(self._blobs.touch, [file.sha256 for file in submission.request.files])
        return await self._write(submit, submission)

    async def cancel(self, task_id: str, reason: str = "") -> TaskView:
        """End a task and all its steps. Raises `NotFound`, `IllegalTransition` when it is over."""
        return await self._write(control.cancel, task_id, reason)

    async def reply(self, task_id: str, text: str) -> Submitted:
        """Answer a task that asks. Raises `NotFound`, `IllegalTransition`, `Invalid`."""
        return await self._write(control.reply, task_id, text)

    async def replay(self, task_id: str, key_id: str, traceparent: str | None = None) -> Submitted:
        """Submit a task's request again as a new task of ``key_id``, in a trace of its own. Raises as `submit`."""
        self._space.check()
        return await self._write(control.replay, task_id, key_id, traceparent)

    async def get(self, task_id: str) -> TaskView:
        """Return a task. Raises `NotFound`."""
        return await self._look(reads.get, task_id)

    async def list_tasks(
        self, key_id: str | None = None, state: TaskState | None = None, limit: int = 50, before: str | None = None
    ) -> list[TaskView]:
        """Return tasks, newest first; ``before`` is the last id already seen."""
        return await self._read(reads.list_tasks, key_id, state, limit, before)

    async def events(self, task_id: str, after: int = 0, limit: int = 500) -> list[Event]:
        """Return a task's events after a sequence number. Raises `NotFound`."""
        return await self._look(reads.events, task_id, after, limit)

    async def steps(self, task_id: str) -> list[StepRun]:
        """Return every attempt of every step, in the order they were made. Raises `NotFound`."""
        return await self._look(reads.steps, task_id)

    async def history(self, task_id: str) -> History:
        """Return everything the ledger holds of a task. Raises `NotFound`."""
        return await self._read(reads.history, task_id)

    # Leases

    async def claim(self, request: ClaimRequest) -> tuple[Lease, ...]:
        """Lease the best ready steps of an agent that the node may take; small input files come along.

        Raises:
            Forbidden: no such node serves the agent.
        """
        return await self._with_files(await self._write(claim, request))

    async def renew(self, request: RenewRequest) -> RenewReply:
        """Prolong a runner's leases; answers those that it has lost."""
        return await self._write(leases.renew, request)

    async def progress(self, request: ProgressRequest) -> None:
        """Store progress; notes under leases that are not current are ignored."""
        due = self._pace.due(request.notes)
        if due:
            await self._write(leases.progress, due)

    async def complete(self, completion: Completion) -> Completed:
        """Commit an outcome. Raises `StaleLease`, `Invalid` for a file that neither came along nor was put."""
        if completion.artifacts or completion.inline:
            try:
                await asyncio.to_thread(store_files, self._blobs, completion)
            except OSError as error:
                raise self._refusal(error) from error
        done = await self._write(complete, completion)
        return done.model_copy(update={"leases": await self._with_files(done.leases)}) if done.leases else done

    async def _with_files(self, granted: tuple[Lease, ...]) -> tuple[Lease, ...]:
        if not any(lease.files for lease in granted):
            return granted
        known = await self._read(reads.referred, [lease.task_id for lease in granted])
        return await asyncio.to_thread(attach, self._blobs, granted, known)

    # The brain's leases

    async def claim_thoughts(self, holder: str, limit: int = 1) -> tuple[Thought, ...]:
        """Lease turns that wait for an engine."""
        return await self._write(thinking.claim_thoughts, holder, limit)

    async def renew_thoughts(self, holder: str, held: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
        """Prolong leases ``(task_id, fence)``; return the tasks whose lease was lost."""
        return await self._write(thinking.renew_thoughts, holder, held)

    async def commit_thought(
        self, task_id: str, fence: int, name: str, value: JSON, *, used: tuple[EngineUse, ...] = ()
    ) -> Advanced:
        """Store a thought, charge what it asked of engines, and fold the turn on. Raises `StaleLease`."""
        return await self._write(thinking.commit_thought, task_id, fence, name, value, used=used)

    def now(self) -> datetime:
        """Return the time by the ledger's clock, which alone decides."""
        return at(self._store.clock.now())

    # Callbacks

    async def outbox_due(self, limit: int = 20) -> list[Delivery]:
        """Take callbacks that are due; each is held for `outbox.HOLD_S` seconds."""
        if not await self._look(outbox.any_due, self._store.clock.now()):
            return []
        return await self._write(outbox.take_due, limit)

    async def outbox_delivered(self, delivery_id: str) -> None:
        """Note that a callback was taken. Raises `NotFound`."""
        await self._write(outbox.delivered, delivery_id)

    async def outbox_failed(self, delivery_id: str, error: str, attempts_max: int = 12) -> DeliveryState:
        """Note a failed attempt; it is tried again later or is dead. Raises `NotFound`, `Conflict`."""
        return await self._write(outbox.failed, delivery_id, error, attempts_max)

    async def outbox_dead(self) -> list[Delivery]:
        """Return the callbacks given up."""
        return await self._read(reads.dead_deliveries)

    async def outbox_replay(self, delivery_id: str) -> Delivery:
        """Queue a dead callback anew. Raises `NotFound`, `Conflict`."""
        return await self._write(outbox.replay, delivery_id)

    # The reconciler

    async def sweep(self, depths: Mapping[str, int | None] | None = None) -> Swept:
        """Do one round: take back lost leases, end what is past its deadline, name the steps to ring again.

        Args:
            depths: hints waiting in each agent's queue; None for one that cannot be asked.
        """
        await self._store.synchronise()
        now, timed_out, expired = self._store.clock.now(), 0, 0
        if self._month != month_of(now) and self._store.rules.prices.monthly:
            await self._write(spending.state_monthly)
            self._month = month_of(now)
        for task_id in await self._read(sweep.overdue_tasks, now):
            timed_out += await self._alone(self._write(control.expire, task_id), task_id)
        if not self._reaper_waits():
            lost = await self._read(sweep.lost_leases, now, self._store.rules.lease_ttl_s)
            for task_id, step, attempt in lost:
                expired += await self._alone(self._write(leases.take_back, task_id, step, attempt), task_id)
        silent = await self._read(sweep.any_silent, now)
        rings = await self._write(sweep.ring_again, depths or {}) if silent else ()
        return Swept(rings=rings, expired=expired, timed_out=timed_out)

    def _reaper_waits(self) -> bool:
        """Whether leases are left alone: for one lease's time after a start, a clock jump or a frozen process."""
        steady, ttl = time.monotonic(), self._store.rules.lease_ttl_s
        frozen = steady - self._swept > ttl + _FROZEN_S
        self._swept = steady
        if self._store.clock.jumped() or frozen:
            self._calm_until = steady + ttl
        return steady < self._calm_until

    async def _alone(self, work: Awaitable[bool], task_id: str) -> bool:
        """Await one task's share of a sweep; its failure must not keep the others from theirs."""
        try:
            return await work
        except (ConciliumError, ValueError):
            _log.exception("sweep of a task failed", extra={"task_id": task_id})
            return False

    # Blobs

    async def put_blob(
        self, data: bytes | AsyncIterable[bytes], *, key_id: str | None = None, expected: str | None = None
    ) -> tuple[str, int]:
        """Store a file; return its SHA-256 and size in bytes.

        Args:
            data: the bytes, or a stream of them.
            key_id: the API key that puts it and may read it from now on; None for a runner's.
            expected: the SHA-256 it must have.

        Raises:
            Invalid: the content's hash is not the expected one.
            Unavailable: the disk is nearly full; a runner's results may still use what is kept in reserve.
        """
        if key_id is not None:
            self._space.check()
        try:
            if isinstance(data, bytes):
                sha256, size = await asyncio.to_thread(self._blobs.put, data, expected)
            else:
                sha256, size = await self._blobs.put_stream(data, expected)
        except OSError as error:
            raise self._refusal(error) from error
        if key_id is not None:
            await self._write(retention.own_blob, sha256, key_id)
        return sha256, size

    async def open_blob(self, sha256: str) -> Path:
        """Return the file of a blob. Whether the caller may see it is `blob_visible`'s. Raises `NotFound`."""
        return await asyncio.to_thread(self._blobs.open, sha256)

    async def blob_visible(self, sha256: str, key_id: str) -> bool:
        """Whether a key put the blob or owns a task that refers to it."""
        return await self._look(reads.key_sees, sha256, key_id)

    async def lease_blob(self, held: Held, sha256: str) -> Path:
        """Return the file of a blob for the holder of a lease on a task that refers to it.

        Raises:
            StaleLease: the lease is not current.
            NotFound: the task does not refer to the blob.
        """
        if not await self._look(reads.lease_holds, held.task_id, held.step, held.attempt, held.fence):
            raise StaleLease("the lease is not current; drop the work")
        if sha256 not in (await self._read(reads.referred, [held.task_id])).get(held.task_id, ()):
            raise NotFound(f"task {held.task_id} has no file {sha256}")
        return await self.open_blob(sha256)

    async def gc(self, limits: RetentionConfig) -> GcReport:
        """Remove what is older or larger than the configuration keeps."""
        return await collect(self._store, self._blobs, limits)

    async def stats(self) -> Stats:
        """Count what there is and what this process has written."""
        counters = self._store.counters
        found = await self._read(reads.counts, self._store.clock.now())
        return found.model_copy(
            update={
                "commits": counters.commits,
                "statements": counters.statements,
                "operations": counters.operations,
            }
        )
