"""API keys: 256 random bits shown once, stored as SHA-256."""

import hashlib
import secrets
from decimal import Decimal

from sqlalchemy import Connection, Row, bindparam, or_, select

from concilium.contracts.base import new_id
from concilium.contracts.errors import Conflict, Invalid, NotFound
from concilium.contracts.money import from_micros, to_micros
from concilium.ledger import schema
from concilium.ledger.codec import at, dumps, loads
from concilium.ledger.models import ApiKey
from concilium.ledger.tx import Tx

_k, _old = schema.api_keys.c, schema.old_secrets.c
_BY_HASH = select(*_k).where(_k.sha256 == bindparam("sha256"))
_BY_OLD_HASH = (
    select(*_k, _old.until)
    .join_from(schema.old_secrets, schema.api_keys, _old.key_id == _k.id)
    .where(_old.sha256 == bindparam("sha256"))
)
PREFIX = "ck_"


def new_secret() -> str:
    """Return a fresh secret: 256 random bits in URL-safe base64."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return what is stored of a secret. It is random, so a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(
    tx: Tx,
    sha256: str,
    name: str,
    scopes: tuple[str, ...],
    *,
    expires_in_s: float | None = None,
    rate_per_minute: int | None = None,
    budget: Decimal | None = None,
) -> ApiKey:
    """Store a key by its hash. Raises `Invalid` when the name holds a NUL character."""
    if "\x00" in name:
        raise Invalid("a key's name holds a NUL character; leave it out")
    row = {
        "id": new_id("key"), "name": name, "sha256": sha256, "scopes": dumps(list(scopes)),
        "rate_per_minute": rate_per_minute, "created_at": tx.now,
        "expires_at": None if expires_in_s is None else tx.now + expires_in_s, "revoked_at": None,
        "budget": None if budget is None else to_micros(budget),
    }  # fmt: skip
    tx.conn.execute(schema.api_keys.insert(), [row])
    return _key_of(tx.conn.execute(_BY_HASH, {"sha256": sha256}).one())


def find(conn: Connection, sha256: str) -> ApiKey | None:
    """Return the key with that hash; whether it is `ApiKey.active` is the caller's to judge.

    Under a secret from before its rotation a key expires when that secret does.
    """
    row = conn.execute(_BY_HASH, {"sha256": sha256}).first()
    if row is not None:
        return _key_of(row)
    row = conn.execute(_BY_OLD_HASH, {"sha256": sha256}).first()
    if row is None:
        return None
    key, until = _key_of(row), at(row._mapping["until"])
    return key.model_copy(update={"expires_at": min(until, key.expires_at or until)})


def rotate(tx: Tx, key: str, sha256: str, overlap_s: float) -> ApiKey:
    """Give a key another secret; the one before is good for so many seconds more, for 0 none of the old ones is.

    Args:
        tx: the transaction.
        key: the key's id, or the hash of its present secret.
        sha256: the hash of the new secret.
        overlap_s: seconds.

    Raises:
        NotFound: there is no such key.
        Conflict: it was revoked.
    """
    row = tx.conn.execute(tx.locked(select(*_k).where(or_(_k.id == key, _k.sha256 == key)))).first()
    if row is None:
        raise NotFound(f"no key '{key}'")
    found = row._mapping
    if found["revoked_at"] is not None:
        raise Conflict(f"key {found['id']} was revoked; create another")
    if overlap_s <= 0:
        still = (_old.key_id == found["id"]) & (_old.until > tx.now)
        tx.conn.execute(schema.old_secrets.update().where(still).values(until=tx.now))
    until = tx.now + overlap_s
    tx.conn.execute(schema.old_secrets.insert(), [{"sha256": found["sha256"], "key_id": found["id"], "until": until}])
    tx.conn.execute(schema.api_keys.update().where(_k.id == found["id"]).values(sha256=sha256))
    return _key_of(row)


def list_all(conn: Connection) -> list[ApiKey]:
    """Return every key, oldest first."""
    return [_key_of(row) for row in conn.execute(select(*_k).order_by(_k.created_at))]


def revoke(tx: Tx, key_id: str) -> None:
    """Revoke a key at once; again is no error. Raises `NotFound`."""
    known = tx.conn.execute(select(_k.revoked_at).where(_k.id == key_id)).first()
    if known is None:
        raise NotFound(f"no key '{key_id}'")
    if known.revoked_at is None:
        tx.conn.execute(schema.api_keys.update().where(_k.id == key_id).values(revoked_at=tx.now))


def set_budget(tx: Tx, key_id: str, budget: Decimal | None) -> ApiKey:
    """Set what a key's tasks may cost a month; None: no limit of its own. Raises `NotFound`."""
    micros = None if budget is None else to_micros(budget)
    tx.conn.execute(schema.api_keys.update().where(_k.id == key_id).values(budget=micros))
    found = tx.conn.execute(select(*_k).where(_k.id == key_id)).first()
    if found is None:
        raise NotFound(f"no key '{key_id}'")
    return _key_of(found)


def _key_of(row: "Row[*tuple[object, ...]]") -> ApiKey:
    values = row._mapping
    return ApiKey(
        id=values["id"],
        name=values["name"],
        scopes=tuple(loads(values["scopes"])),
        rate_per_minute=values["rate_per_minute"],
        budget=from_micros(values["budget"]) if values["budget"] is not None else None,
        created_at=at(values["created_at"]),
        expires_at=at(values["expires_at"]) if values["expires_at"] is not None else None,
        revoked_at=at(values["revoked_at"]) if values["revoked_at"] is not None else None,
    )
