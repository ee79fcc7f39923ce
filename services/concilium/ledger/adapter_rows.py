"""Adapters read from their tables."""

from collections.abc import Iterable

from sqlalchemy import Connection, Row, bindparam, select

from concilium.contracts.adapter_life import AdapterEvent, AdapterRecord, Canary, CanaryTerms, Counts, Line, OnReplica
from concilium.contracts.adapters import AdapterState, Alias, Reference
from concilium.contracts.errors import NotFound
from concilium.ledger import adapter_schema as schema
from concilium.ledger.codec import at, loads

_a, _l, _e, _r = (
    schema.adapters.c,
    schema.adapter_lines.c,
    schema.adapter_events.c,
    schema.adapter_replicas.c,
)
ALL = select(*_a)
BY_DIGEST = ALL.where(_a.digest == bindparam("digest"))
_BY_VERSION = ALL.where(_a.id == bindparam("id"), _a.version == bindparam("version"))
_LIVE, _CANARY = schema.adapters.alias("live_version"), schema.adapters.alias("canary_version")
_LINES = select(*_l, _LIVE.c.version.label("live_version"), _CANARY.c.version.label("canary_version")).select_from(
    schema.adapter_lines.outerjoin(_LIVE, _LIVE.c.digest == _l.live).outerjoin(_CANARY, _CANARY.c.digest == _l.canary)
)
_LINE = _LINES.where(_l.id == bindparam("id"))


def get(conn: Connection, digest: str) -> AdapterRecord:
    """Return a version. Raises `NotFound`."""
    row = conn.execute(BY_DIGEST, {"digest": digest}).first()
    if row is None:
        raise NotFound(f"no adapter {digest[:12]}…; `concilium adapters list` shows those there are")
    return record_of(row)


def find(conn: Connection, adapter: str, version: str) -> AdapterRecord | None:
    """Return a version by its number."""
    row = conn.execute(_BY_VERSION, {"id": adapter, "version": version}).first()
    return None if row is None else record_of(row)


def line(conn: Connection, adapter: str) -> Line:
    """Return which versions of an adapter serve, in one indexed read. Raises `NotFound`."""
    row = conn.execute(_LINE, {"id": adapter}).first()
    if row is None:
        raise NotFound(f"no adapter '{adapter}'; `concilium adapters list` shows those there are")
    return _line_of(row)


def resolve(conn: Connection, reference: Reference) -> AdapterRecord:
    """Return the version that a reference leads to. Raises `NotFound`."""
    if isinstance(reference.at, Alias):
        digest = line(conn, reference.id).alias(reference.at)
        if digest is None:
            raise NotFound(f"'{reference}' leads nowhere: no version of '{reference.id}' is {reference.at.value} now")
        return get(conn, digest)
    found = find(conn, reference.id, reference.at)
    if found is None:
        raise NotFound(f"no adapter '{reference}'; `concilium adapters list` shows those there are")
    return found


def list_lines(conn: Connection) -> list[Line]:
    """Return every adapter's line, by id."""
    return [_line_of(row) for row in conn.execute(_LINES.order_by(_l.id))]


def list_all(conn: Connection, *, removed: bool = False) -> list[AdapterRecord]:
    """Return every version whose files are there, and with ``removed`` the others too, by id and age."""
    wanted = ALL if removed else ALL.where(_a.removed_at.is_(None))
    return [record_of(row) for row in conn.execute(wanted.order_by(_a.id, _a.created_at, _a.digest))]


def events(conn: Connection, adapter: str, after: int = 0, limit: int = 500) -> list[AdapterEvent]:
    """Return what happened to an adapter. Raises `NotFound`."""
    line(conn, adapter)
    wanted = select(*_e).where(_e.id == adapter, _e.seq > after).order_by(_e.seq).limit(limit)
    return [_event_of(row) for row in conn.execute(wanted)]


def replicas(conn: Connection) -> list[OnReplica]:
    """Return what is, or may be, loaded where."""
    found = conn.execute(select(*_r).order_by(_r.replica, _r.digest))
    return [OnReplica.model_validate({**row._mapping, "at": at(row.at)}) for row in found]


def kept(conn: Connection) -> dict[str, str]:
    """Return every version that must not be removed, with the reason: each other row's, or its own."""
    records = {record.digest: record for record in list_all(conn)}
    reasons: dict[str, str] = {}
    for found in list_lines(conn):
        aliases = {"live": found.live, "what a rollback returns to": found.previous}
        aliases["a canary"] = found.canary.digest if found.canary else None
        reasons |= {digest: f"it is {what} of '{found.id}'" for what, digest in aliases.items() if digest}
    reasons |= {record.digest: "it is pinned" for record in records.values() if record.pinned}
    reasons |= {one.digest: f"replica '{one.replica}' has it" for one in replicas(conn)}
    todo = [digest for digest in reasons if digest in records]
    while todo:
        child = records[todo.pop()]
        for parent in _new(child.parents, reasons, records):
            reasons[parent] = f"'{child.reference}' was made from it"
            todo.append(parent)
    return reasons


def _new(parents: Iterable[str], reasons: dict[str, str], records: dict[str, AdapterRecord]) -> list[str]:
    return [parent for parent in parents if parent in records and parent not in reasons]


def record_of(row: "Row[*tuple[object, ...]]") -> AdapterRecord:
    """Return a stored version."""
    values = row._mapping
    return AdapterRecord.model_validate(
        {
            **values,
            "state": AdapterState(values["state"]),
            "parents": tuple(loads(values["parents"])),
            "probed": bool(values["probed"]),
            "pinned": bool(values["pinned"]),
            "created_at": at(values["created_at"]),
            "changed_at": at(values["changed_at"]),
            "removed_at": None if values["removed_at"] is None else at(values["removed_at"]),
        }
    )


def _line_of(row: "Row[*tuple[object, ...]]") -> Line:
    values = row._mapping
    canary = None
    if values["canary"] is not None:
        canary = Canary(
            digest=values["canary"],
            terms=CanaryTerms.model_validate_json(values["canary_terms"]),
            counts=Counts.model_validate_json(values["canary_counts"]),
            began_at=at(values["canary_began_at"]),
        )
    return Line(
        id=values["id"],
        generation=values["generation"],
        live=values["live"],
        live_version=values["live_version"],
        previous=values["previous"],
        canary=canary,
        canary_version=values["canary_version"],
    )


def _event_of(row: "Row[*tuple[object, ...]]") -> AdapterEvent:
    values = row._mapping
    return AdapterEvent.model_validate({**values, "at": at(values["at"]), "data": loads(values["data"])})
