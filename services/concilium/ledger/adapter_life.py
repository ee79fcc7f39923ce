"""The life of adapters: every transition is one transaction with its event, under the lock of the adapter's line."""

from dataclasses import dataclass

from sqlalchemy import select

from concilium.contracts.adapter_life import (
    LEGAL,
    AdapterRecord,
    CanaryTerms,
    Counts,
    Happening,
    Judgement,
    Line,
    Proof,
)
from concilium.contracts.adapters import AdapterState, Manifest, Verdict
from concilium.contracts.base import JSON
from concilium.contracts.errors import Conflict, IllegalTransition, Invalid
from concilium.ledger import adapter_rows as rows
from concilium.ledger import adapter_schema as schema
from concilium.ledger.codec import dumps
from concilium.ledger.tx import Tx, insert_new

_a, _l = schema.adapters.c, schema.adapter_lines.c
_NEW_LINE = insert_new(schema.adapter_lines)
_NO_CANARY: dict[str, object] = {
    "canary": None,
    "canary_terms": None,
    "canary_counts": None,
    "canary_began_at": None,
}


@dataclass(frozen=True)
class Deed:
    """Who does something and why."""

    who: str
    why: str

    def __post_init__(self) -> None:
        if not self.who.strip() or not self.why.strip():
            raise Invalid("say who does it and why: both are kept with the adapter")


def register(tx: Tx, manifest: Manifest, digest: str, size: int, deed: Deed, *, probed: bool) -> AdapterRecord:
    """Make a bundle that lies in the store a candidate; again is no error.

    Raises:
        Conflict: its version is that of other bytes, or it was retired.
    """
    tx.conn.execute(
        _NEW_LINE[tx.conn.dialect.name], [{"id": manifest.id, "generation": 0, "last_seq": 0, **_NO_CANARY}]
    )
    lock(tx, manifest.id)
    known = rows.find(tx.conn, manifest.id, manifest.version)
    if known is not None and known.digest != digest:
        was = f"'{known.reference}' is {known.digest[:12]}, this is {digest[:12]}"
        raise Conflict(f"{was}: a version is never used for other bytes; give it a new version")
    if known is not None and known.removed_at is None:
        return known
    if known is not None:
        return _back(tx, known, deed)
    row = {
        "digest": digest, "id": manifest.id, "version": manifest.version, "state": AdapterState.CANDIDATE.value,
        "verdict": manifest.reports["verify_report.json"].value, "bytes": size, "rank": manifest.rank,
        "parents": dumps(list(manifest.parents)), "probed": int(probed), "pinned": 0, "created_at": tx.now,
        "changed_at": tx.now, "removed_at": None,
    }  # fmt: skip
    tx.conn.execute(schema.adapters.insert(), [row])
    _tell(tx, manifest.id, digest, "imported", deed)
    return rows.get(tx.conn, digest)


def _back(tx: Tx, known: AdapterRecord, deed: Deed) -> AdapterRecord:
    if known.state is AdapterState.RETIRED:
        raise Conflict(f"'{known.reference}' was retired; publish its successor under a new version")
    _change(tx, known.digest, removed_at=None, state=AdapterState.CANDIDATE.value)
    _tell(tx, known.id, known.digest, "imported", deed)
    return rows.get(tx.conn, known.digest)


def verify(tx: Tx, digest: str, proof: Proof, deed: Deed) -> AdapterRecord:
    """Let engines load a candidate. Raises `NotFound`, `IllegalTransition`, `Conflict` when the proof does not do."""
    record = locked(tx, digest)
    if proof.digest != digest:
        raise Conflict(f"the proof is for {proof.digest[:12]}, not for {digest[:12]}")
    if record.verdict is not Verdict.PASS:
        raise Conflict(f"the report of '{record.reference}' says {record.verdict.value}; only PASS is verified")
    step(tx, record, AdapterState.VERIFIED)
    _tell(tx, record.id, digest, "verified", deed, by=proof.by)
    return rows.get(tx.conn, digest)


def promote(tx: Tx, digest: str, generation: int, deed: Deed) -> Line:
    """Make a version live; the one before it is superseded and can be returned to.

    Raises:
        NotFound, IllegalTransition.
        Conflict: the line moved since ``generation``, another version is its canary, or no probe could show it.
    """
    record, line = _for_alias(tx, digest, generation)
    if line.canary is not None and line.canary.digest != digest:
        raise Conflict(f"another version of '{record.id}' is its canary, compared with what is live; end that first")
    step(tx, record, AdapterState.LIVE)
    if line.live is not None:
        _supersede(tx, line, deed)
    data = {"counts": line.canary.counts.model_dump(mode="json")} if line.canary else {}
    _move(tx, line, live=digest, previous=line.live, **_NO_CANARY)
    _tell(tx, record.id, digest, "live", deed, **data)
    return rows.line(tx.conn, record.id)


def _supersede(tx: Tx, line: Line, deed: Deed) -> None:
    assert line.live is not None  # noqa: S101 - the caller looked
    old = rows.get(tx.conn, line.live)
    step(tx, old, AdapterState.VERIFIED)
    _tell(tx, old.id, old.digest, "superseded", deed)


def start_canary(tx: Tx, digest: str, generation: int, terms: CanaryTerms, deed: Deed) -> Line:
    """Give a version a share of its adapter's traffic.

    Raises:
        NotFound, IllegalTransition.
        Conflict: the line moved, there is a canary already, or nothing is live to compare it with.
    """
    record, line = _for_alias(tx, digest, generation)
    if line.canary is not None:
        raise Conflict(f"'{record.id}' has a canary already; promote it or roll it back first")
    if line.live is None:
        raise Conflict(f"no version of '{record.id}' is live, so there is nothing to compare with; promote one first")
    step(tx, record, AdapterState.CANARY)
    _move(
        tx,
        line,
        canary=digest,
        canary_terms=terms.model_dump_json(),
        canary_counts=Counts().model_dump_json(),
        canary_began_at=tx.now,
    )
    _tell(tx, record.id, digest, "canary", deed, terms=terms.model_dump(mode="json"))
    return rows.line(tx.conn, record.id)


def rollback(tx: Tx, adapter: str, deed: Deed, found: Judgement | None = None) -> Line:
    """End the canary, or else return to the version that was live before.

    Args:
        adapter: its id.
        deed: who and why.
        found: what the canary's counts said, when they are the reason.

    Raises:
        NotFound: there is no such adapter.
        Conflict: there is nothing to return to.
    """
    line = lock(tx, adapter)
    if line.canary is not None:
        record = rows.get(tx.conn, line.canary.digest)
        step(tx, record, AdapterState.VERIFIED)
        _move(tx, line, **_NO_CANARY)
        data = {"counts": line.canary.counts.model_dump(mode="json")}
        if found is not None:
            data["judgement"] = found.model_dump(mode="json")
        _tell(tx, adapter, record.digest, "rolled-back", deed, **data)
        return rows.line(tx.conn, adapter)
    if line.live is None or line.previous is None:
        raise Conflict(f"'{adapter}' has no earlier live version to return to; promote one by its version")
    bad, good = rows.get(tx.conn, line.live), rows.get(tx.conn, line.previous)
    step(tx, bad, AdapterState.VERIFIED)
    step(tx, good, AdapterState.LIVE)
    _move(tx, line, live=good.digest, previous=None)
    _tell(tx, adapter, bad.digest, "rolled-back", deed, to=good.digest)
    _tell(tx, adapter, good.digest, "live", deed)
    return rows.line(tx.conn, adapter)


def retire(tx: Tx, digest: str, deed: Deed) -> AdapterRecord:
    """Take a version out of service for good; an alias that led to it leads nowhere. Raises `NotFound`."""
    record = locked(tx, digest)
    line = rows.line(tx.conn, record.id)
    step(tx, record, AdapterState.RETIRED)
    moved: dict[str, object] = {}
    if line.live == digest:
        moved["live"] = None
    if line.previous == digest:
        moved["previous"] = None
    if line.canary is not None and digest in {line.canary.digest, line.live}:
        moved |= _NO_CANARY
        if digest == line.live:
            step(tx, rows.get(tx.conn, line.canary.digest), AdapterState.VERIFIED)
            _tell(tx, record.id, line.canary.digest, "canary-ended", deed)
    if moved:
        _move(tx, line, **moved)
    _tell(tx, record.id, digest, "retired", deed)
    return rows.get(tx.conn, digest)


def pin(tx: Tx, digest: str, deed: Deed, *, pinned: bool) -> AdapterRecord:
    """Keep a version from garbage collection, or no longer. Raises `NotFound`."""
    record = locked(tx, digest)
    if record.removed_at is not None:
        raise Conflict(f"the files of '{record.reference}' were removed; import it again")
    if record.pinned != pinned:
        _change(tx, digest, pinned=int(pinned))
        _tell(tx, record.id, digest, "pinned" if pinned else "unpinned", deed)
    return rows.get(tx.conn, digest)


def remove(tx: Tx, digest: str, deed: Deed) -> None:
    """Note that a version's files go. Raises `NotFound`, `Conflict` while it is kept, with the reason."""
    # What would keep it must not come up meanwhile: every change of any line waits.
    tx.conn.execute(tx.locked(select(_l.id).order_by(_l.id)))
    record = rows.get(tx.conn, digest)
    reason = rows.kept(tx.conn).get(digest)
    if reason is not None:
        raise Conflict(f"'{record.reference}' stays: {reason}")
    if record.removed_at is None:
        _change(tx, digest, removed_at=tx.now)
        _tell(tx, record.id, digest, "removed", deed)


def lock(tx: Tx, adapter: str) -> Line:
    """Return an adapter's line, locked until the commit where there are other writers. Raises `NotFound`."""
    tx.conn.execute(tx.locked(select(_l.id).where(_l.id == adapter))).first()
    return rows.line(tx.conn, adapter)


def locked(tx: Tx, digest: str) -> AdapterRecord:
    """Return a version whose line is locked. Raises `NotFound`."""
    lock(tx, rows.get(tx.conn, digest).id)
    return rows.get(tx.conn, digest)


def step(tx: Tx, record: AdapterRecord, new: AdapterState) -> None:
    """Bring a version to another state: the one place where that is decided. Raises `IllegalTransition`."""
    name = f"'{record.reference}'"
    if new not in LEGAL[record.state]:
        then = ", ".join(sorted(state.value for state in LEGAL[record.state])) or "nothing"
        raise IllegalTransition(f"{name} is {record.state.value}; what may follow is {then}, not {new.value}")
    if record.removed_at is not None and new is not AdapterState.RETIRED:
        raise IllegalTransition(f"the files of {name} were removed; import it again")
    _change(tx, record.digest, state=new.value)


def _for_alias(tx: Tx, digest: str, generation: int) -> tuple[AdapterRecord, Line]:
    """Return a version and its line for an alias to lead to it. Raises `Conflict`."""
    record = locked(tx, digest)
    line = rows.line(tx.conn, record.id)
    if line.generation != generation:
        moved = f"generation {generation} was seen, it is {line.generation} now"
        raise Conflict(f"somebody else published '{record.id}' meanwhile ({moved}); look again and decide anew")
    if not record.probed:
        raise Conflict(
            f"the report of '{record.reference}' has no probe, so nothing could show that an engine serves it; "
            "pack it with a report that has one"
        )
    return record, line


def _move(tx: Tx, line: Line, /, **values: object) -> None:
    changed = schema.adapter_lines.update().where(_l.id == line.id)
    tx.conn.execute(changed.values(generation=line.generation + 1, **values))


def _change(tx: Tx, digest: str, /, **values: object) -> None:
    tx.conn.execute(schema.adapters.update().where(_a.digest == digest).values(changed_at=tx.now, **values))


def _tell(tx: Tx, adapter: str, digest: str, what: Happening, deed: Deed, /, **data: JSON) -> None:
    """Add an event in the transaction of what it tells of."""
    tx.conn.execute(schema.adapter_lines.update().where(_l.id == adapter).values(last_seq=_l.last_seq + 1))
    seq = tx.conn.execute(select(_l.last_seq).where(_l.id == adapter)).scalar_one()
    row = {"id": adapter, "seq": seq, "at": tx.now, "digest": digest, "what": what, "who": deed.who, "why": deed.why}
    tx.conn.execute(schema.adapter_events.insert(), [{**row, "data": dumps(data)}])
