"""Commit 2: grant a runner the right to work on the best ready steps of an agent."""

from functools import cache
from itertools import groupby

from sqlalchemy import Select, and_, bindparam, or_, text

from concilium.contracts.errors import Forbidden
from concilium.contracts.placement import EVERYTHING, NOTHING, Share
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


def claim(tx: Tx, request: ClaimRequest) -> tuple[Lease, ...]:
    """Lease the best ready steps of the agent that the node may take: by priority, then the task's deadline, then age.

    Raises:
        Forbidden: no such node serves the agent.
    """
    share = _share(tx, request)
    if share is None:
        raise Forbidden(f"node '{request.node}' does not serve agent '{request.agent}' in this mesh")
    return _take(tx, request, share)


def claim_more(tx: Tx, request: ClaimRequest | None) -> tuple[Lease, ...]:
    """Claim beside the commit of an outcome, which must not fail because there is nothing to claim any more."""
    share = _share(tx, request) if request is not None else None
    return _take(tx, request, share) if request is not None and share is not None else ()


def _share(tx: Tx, request: ClaimRequest) -> Share | None:
    return tx.rules.placement().share(request.node, request.agent) if tx.rules.placement is not None else EVERYTHING


@cache
def _best(share: Share, *, shared: bool) -> "Select[*tuple[object, ...]]":
    """Return the query for the steps of a share, made once: most nodes have one of a few."""
    query = _BEST
    if not share.everything:
        whole = _t.data_class.in_([data_class.value for data_class in share.whole])
        parts = (and_(_t.data_class == data.value, _s.skill.in_(skills)) for data, skills in share.parts)
        query = query.where(or_(whole, *parts))
    return query.with_for_update(of=schema.steps, skip_locked=True) if shared else query


def _take(tx: Tx, request: ClaimRequest, share: Share) -> tuple[Lease, ...]:
    if share == NOTHING or not nodes.may_claim(tx, request.node):
        return ()
    wanted = {"agent": request.agent, "now": tx.now, "count": request.count}
    found = [step_row(row) for row in tx.conn.execute(_best(share, shared=tx.shared), wanted)]
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
    placement = draft.tx.rules.placement() if draft.tx.rules.placement is not None else None
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
        alone=placement is None or placement.alone(run.agent),
    )
