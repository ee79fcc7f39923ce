"""Commit 1: a task, its events, and its first ready steps when the fold plans at once."""

import hashlib
import os
import re

from sqlalchemy import bindparam, select

from concilium.contracts import limits
from concilium.contracts.base import new_id
from concilium.contracts.errors import IdempotencyConflict, Invalid
from concilium.contracts.states import TaskState
from concilium.contracts.task import StateEvent, Submission
from concilium.ledger import schema
from concilium.ledger.budgets import admit
from concilium.ledger.codec import dumps
from concilium.ledger.draft import Draft, load
from concilium.ledger.models import Submitted
from concilium.ledger.rows import TaskRow, view_of
from concilium.ledger.turns import advance
from concilium.ledger.tx import TaskMove, Tx, insert_new

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NOT_ASKED = {"key_id", "operation", "idempotency_key", "traceparent", "execution_id"}
_KEEP_S = limits.IDEMPOTENCY_DAYS * 86_400.0
_c = schema.idempotency.c
_REMEMBER = insert_new(schema.idempotency)
_SCOPE = (
    (_c.key_id == bindparam("b_key_id")) & (_c.operation == bindparam("b_operation")) & (_c.key == bindparam("b_key"))
)
_KNOWN = select(_c.digest, _c.task_id, _c.created_at).where(_SCOPE)


def submit(tx: Tx, submission: Submission) -> Submitted:
    """Accept a task, or return the one accepted before under the same idempotency key.

    Raises:
        IdempotencyConflict: the key was used for another request within seven days.
        BudgetExhausted: a budget takes no new work of this priority any more this month.
        Invalid: a text holds a NUL character, which PostgreSQL cannot store.
    """
    _refuse_nul(submission)
    task_id = new_id("task")
    if submission.idempotency_key is not None:
        known = _known_task(tx, submission, task_id)
        if known is not None:
            draft = load(tx, known)
            return Submitted(task=view_of(draft.row, draft.runs), replayed=True)
    warning = admit(tx, submission.key_id, submission.priority)
    draft = Draft(tx, _new_row(tx, submission, task_id), [], new=True)
    draft.event(StateEvent(state=TaskState.SUBMITTED, message=warning))
    tx.moves.append(TaskMove(TaskState.SUBMITTED.value, 0.0))
    draft.refer(*(file.sha256 for file in submission.request.files))
    advance(draft)
    draft.save()
    return Submitted(task=view_of(draft.row, draft.runs), rings=tuple(draft.rings), warning=warning)


def _refuse_nul(submission: Submission) -> None:
    for name in ("key_id", "operation", "idempotency_key", "callback_url", "context_id", "replay_of"):
        if "\x00" in (getattr(submission, name) or ""):
            raise Invalid(f"{name} holds a NUL character; leave it out")


def _known_task(tx: Tx, submission: Submission, task_id: str) -> str | None:
    """Remember the key for the new task, or return the task it stands for already."""
    row = {
        "key_id": submission.key_id,
        "operation": submission.operation,
        "key": submission.idempotency_key,
        "digest": digest_of(submission),
        "task_id": task_id,
        "created_at": tx.now,
    }
    if tx.conn.execute(_REMEMBER[tx.conn.dialect.name], row).rowcount == 1:
        return None
    scope = {"b_key_id": row["key_id"], "b_operation": row["operation"], "b_key": row["key"]}
    known = tx.conn.execute(tx.locked(_KNOWN), scope).one()
    if known.created_at + _KEEP_S <= tx.now:
        fresh = {name: row[name] for name in ("digest", "task_id", "created_at")}
        tx.conn.execute(schema.idempotency.update().where(_SCOPE).values(**fresh), scope)
        return None
    if known.digest != row["digest"]:
        raise IdempotencyConflict(
            f"Idempotency-Key '{submission.idempotency_key}' stands for another request of the last "
            f"{limits.IDEMPOTENCY_DAYS} days; send a new key with a changed request",
            task_id=known.task_id,
        )
    return str(known.task_id)


def digest_of(submission: Submission) -> str:
    """Return the SHA-256 of the canonical request: fields and file digests, not who asks from where."""
    fields = submission.model_dump(mode="json", exclude=_NOT_ASKED)
    fields["request"]["files"] = [[file.sha256, file.name, file.media_type] for file in submission.request.files]
    return hashlib.sha256(dumps(sorted(fields.items())).encode()).hexdigest()


def _new_row(tx: Tx, submission: Submission, task_id: str) -> TaskRow:
    found = _TRACEPARENT.match(submission.traceparent or "")
    trace_id = found.group(1) if found else os.urandom(16).hex()
    return TaskRow(
        id=task_id, key_id=submission.key_id, operation=submission.operation,
        context_id=submission.context_id or new_id("ctx"), state=TaskState.SUBMITTED.value,
        request=submission.request.model_dump_json(), priority=submission.priority.rank,
        data_class=submission.data_class.value, hops=submission.hops, deadline_s=submission.deadline_s,
        created_at=tx.now, updated_at=tx.now, deadline_at=tx.now + submission.deadline_s, paused_at=None,
        trace_id=trace_id, callback_url=submission.callback_url,
        replay_of=submission.replay_of, question=None, answer=None, problem=None, plan=None, planner="none",
        notes="[]", last_seq=0, think=None, think_fence=0, think_holder=None, think_until=None, thought_count=0,
        cost=None, currency=None, unpriced=0, execution_id=submission.execution_id,
        traceparent=found.group(0) if found else f"00-{trace_id}-{os.urandom(8).hex()}-01",
    )  # fmt: skip
