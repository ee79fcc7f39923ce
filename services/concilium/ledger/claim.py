"""Commit 2: grant a runner the right to work on the best ready steps of an agent."""

from itertools import groupby

from sqlalchemy import bindparam, text

from concilium.contracts.runner import ClaimRequest, Lease
from concilium.contracts.skill import Effects
from concilium.contracts.states import StepState, TaskState
from concilium.contracts.task import DataClass, Request
from concilium.ledger import nodes, schema
from concilium.ledger.codec import loads
from concilium.ledger.draft import Draft, load_task
from concilium.ledger.files import files_in
from concilium.ledger.rows import PRIORITIES, STEPS, StepRow, step_row
from concilium.ledger.tx import Tx

_s, _t = schema.steps.c, schema.tasks.c
READY = text("steps.state = 'ready'")
"""Literal, so that the database sees that its partial indexes apply."""
_BEST = (
    STEPS.join_from(schema.steps, schema.tasks, _s.task_id == _t.id)
    .where(
        READY,
        _s.agent == bindparam("agent"),
        _s.not_before <= bindparam("now"),
        _s.task_deadline_at > bindparam("now"),
        _t.state.in_([TaskState.SUBMITTED.value, TaskState.WORKING.value]),
    )
    .order_by(_s.priority, _s.task_deadline_at, _s.created_at, _s.ordinal)
    .limit(bindparam("count"))
)
_BEST_FREE = _BEST.with_for_update(of=schema.steps, skip_locked=True)


def claim(tx: Tx, request: ClaimRequest) -> tuple[Lease, ...]:
    """Lease the best ready steps of the agent: by priority, then the task's deadline, then age."""
    if not nodes.may_claim(tx, request.node):
        return ()
    wanted = {"agent": request.agent, "now": tx.now, "count": request.count}
    found = [step_row(row) for row in tx.conn.execute(_BEST_FREE if tx.shared else _BEST, wanted)]
    leases: dict[tuple[str, str], Lease] = {}
    for task_id, runs in groupby(sorted(found, key=lambda run: run.task_id), key=lambda run: run.task_id):
        draft = Draft(tx, load_task(tx, task_id), list(runs))
        if draft.state in {TaskState.SUBMITTED, TaskState.WORKING}:
            leases.update({(task_id, run.step): _grant(draft, run, request) for run in draft.runs})
            draft.save()
    best_first = ((run.task_id, run.step) for run in found)
    return tuple(leases[key] for key in best_first if key in leases)


def _grant(draft: Draft, run: StepRow, request: ClaimRequest) -> Lease:
    """Give the lease: the fence rises by one, the attempt's deadline starts or goes on."""
    now, ttl = draft.tx.now, draft.tx.rules.lease_ttl_s
    if draft.state is TaskState.SUBMITTED:
        draft.move(TaskState.WORKING)
    left = max(0.001, min(run.deadline_s, draft.row.deadline_at - now))
    draft.move_run(
        run,
        StepState.WORKING,
        fence=run.fence + 1,
        grants=run.grants + 1,
        runner=request.runner,
        node=request.node,
        lease_until=now + ttl,
        deadline_at=now + left,
        granted_at=now,
    )
    asked = Request.model_validate_json(draft.row.request)
    data = loads(run.input)
    return Lease(
        task_id=run.task_id,
        step=run.step,
        attempt=run.attempt,
        fence=run.fence,
        ttl_s=ttl,
        deadline_s=left,
        agent=run.agent,
        skill=run.skill,
        effects=Effects(run.effects),
        input=data,
        files=files_in(data),
        context_id=draft.row.context_id,
        hops=max(0, draft.row.hops - 1),
        priority=PRIORITIES[run.priority],
        data_class=DataClass(draft.row.data_class),
        traceparent=draft.row.traceparent,
        grants=run.grants,
        waited_s=max(0.0, now - run.not_before),
        replies=asked.replies,
    )
