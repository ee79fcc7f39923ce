"""Adapters at work: what is loaded where, and what a canary's answers count."""

from collections.abc import Callable

from sqlalchemy import select

from concilium.contracts.adapter_life import (
    LOADABLE,
    CanaryTerms,
    Counts,
    Judgement,
    Line,
    OnReplica,
    ReplicaState,
)
from concilium.contracts.adapters import Verdict
from concilium.contracts.errors import Conflict, IllegalTransition
from concilium.ledger import adapter_life as life
from concilium.ledger import adapter_rows as rows
from concilium.ledger import adapter_schema as schema
from concilium.ledger.adapter_life import Deed
from concilium.ledger.tx import Tx, insert_new

Judge = Callable[[Counts, CanaryTerms], Judgement]
"""Pure: what counts say of a canary."""
_l, _r, _k = schema.adapter_lines.c, schema.adapter_replicas.c, schema.adapter_keepers.c
_FIRST = insert_new(schema.adapter_keepers)
_ENGINES = "engines"


def begin_load(tx: Tx, replica: str, digest: str) -> None:
    """Note, before it is told, that an engine will load a version: from now on its files stay.

    Raises:
        NotFound: there is no such version.
        IllegalTransition: it is not verified, or is retired.
        Conflict: its files were removed.
    """
    record = life.locked(tx, digest)
    if record.state not in LOADABLE:
        raise IllegalTransition(f"'{record.reference}' is {record.state.value}: no engine may load it")
    if record.removed_at is not None:
        raise Conflict(f"the files of '{record.reference}' were removed; import it again")
    _put(tx, OnReplica(replica=replica, digest=digest, state=ReplicaState.LOADING))


def report(tx: Tx, found: OnReplica) -> None:
    """Note how far a version is on a replica, if it is still there: an unload may have been noted meanwhile."""
    changed = schema.adapter_replicas.update().where(_r.replica == found.replica, _r.digest == found.digest)
    tx.conn.execute(changed.values(state=found.state.value, detail=found.detail, at=tx.now))


def unloaded(tx: Tx, replica: str, digest: str) -> None:
    """Note that a replica no longer has a version."""
    tx.conn.execute(schema.adapter_replicas.delete().where(_r.replica == replica, _r.digest == digest))


def forget_replica(tx: Tx, replica: str) -> None:
    """Note that a replica is no longer there."""
    tx.conn.execute(schema.adapter_replicas.delete().where(_r.replica == replica))


def observe(tx: Tx, adapter: str, generation: int, more: Counts, judge: Judge) -> tuple[Line, Judgement | None]:
    """Add what was seen of a canary, judge it, and roll it back in the same transaction when it is a regression.

    Args:
        adapter: its id.
        generation: the line's when the answers were given; counts of an earlier canary are dropped.
        more: counts since the last call.
        judge: decides.

    Returns:
        the line, and the judgement; None: there is no such canary any more.
    """
    line = life.lock(tx, adapter)
    if line.canary is None or line.generation != generation:
        return line, None
    had = line.canary.counts
    counts = Counts(canary=had.canary.plus(more.canary), live=had.live.plus(more.live))
    stored = schema.adapter_lines.update().where(_l.id == adapter)
    tx.conn.execute(stored.values(canary_counts=counts.model_dump_json()))
    found = judge(counts, line.canary.terms)
    if found.verdict is Verdict.FAIL:
        return life.rollback(tx, adapter, Deed("canary", found.reason), found), found
    return rows.line(tx.conn, adapter), found


def hold_engines(tx: Tx, holder: str, ttl_s: float) -> bool:
    """Take or prolong the right to tell engines what to load; False while another process has it."""
    tx.conn.execute(_FIRST[tx.conn.dialect.name], [{"role": _ENGINES, "holder": holder, "until": tx.now + ttl_s}])
    row = tx.conn.execute(tx.locked(select(_k.holder, _k.until).where(_k.role == _ENGINES))).one()
    if row.holder != holder and row.until > tx.now:
        return False
    mine = schema.adapter_keepers.update().where(_k.role == _ENGINES)
    tx.conn.execute(mine.values(holder=holder, until=tx.now + ttl_s))
    return True


def release_engines(tx: Tx, holder: str) -> None:
    """Give that right back."""
    tx.conn.execute(schema.adapter_keepers.delete().where(_k.role == _ENGINES, _k.holder == holder))


def _put(tx: Tx, found: OnReplica) -> None:
    unloaded(tx, found.replica, found.digest)
    row = {"replica": found.replica, "digest": found.digest, "state": found.state.value, "detail": found.detail}
    tx.conn.execute(schema.adapter_replicas.insert(), [{**row, "at": tx.now}])
