"""Garbage collection: old tasks, old events, then blobs that nobody refers to any more."""

import asyncio
from contextlib import suppress
from itertools import islice

from concilium.contracts.config import RetentionConfig
from concilium.contracts.errors import IllegalTransition, NotFound
from concilium.ledger import control, retention
from concilium.ledger.blobs import Blobs
from concilium.ledger.models import GcReport
from concilium.ledger.retention import DAY_S
from concilium.ledger.store import Store

_GIB = 1 << 30


async def collect(store: Store, blobs: Blobs, keep: RetentionConfig) -> GcReport:
    """Apply a retention; safe beside running work."""
    now = store.clock.now()
    for task_id in await store.read(retention.unanswered, now - keep.tasks_days * DAY_S):
        with suppress(IllegalTransition, NotFound):  # answered or canceled just now
            await store.write(control.cancel, task_id, f"nobody answered its question for {keep.tasks_days} days")
    tasks = await _remove_tasks(store, now - keep.tasks_days * DAY_S)
    events = await store.write(retention.remove_events, now - keep.events_days * DAY_S)
    forgotten = await store.write(retention.remove_idempotency)
    count, size = await _remove_blobs(store, blobs)
    while await asyncio.to_thread(blobs.total) > keep.blobs_gib * _GIB:
        old = await store.read(retention.old_tasks, now - DAY_S)
        if not old:
            break
        tasks += await store.write(retention.remove_tasks, old)
        more, freed = await _remove_blobs(store, blobs)
        count, size = count + more, size + freed
    await asyncio.to_thread(blobs.remove_partial)
    return GcReport(tasks=tasks, events=events, idempotency_keys=forgotten, blobs=count, blob_bytes=size)


async def _remove_tasks(store: Store, before: float) -> int:
    removed = 0
    while old := await store.read(retention.old_tasks, before):
        removed += await store.write(retention.remove_tasks, old)
    return removed


async def _remove_blobs(store: Store, blobs: Blobs) -> tuple[int, int]:
    """Remove blobs that were not touched for a day and that no task refers to; return their number and bytes."""
    stale = iter(await asyncio.to_thread(lambda: list(blobs.untouched())))
    count = size = 0
    while batch := list(islice(stale, retention.BATCH)):
        for digest in await store.write(retention.unreferenced, batch):
            freed = await asyncio.to_thread(blobs.remove, digest)
            count, size = count + (freed is not None), size + (freed or 0)
    return count, size
