"""The owner's side: metadata is made from what is believed, signed, and then believed like anybody else's.

Nothing here reads a file, a clock or a passphrase. What is made is handed to `update`, so that nothing is published
that the other side would refuse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, T, Targets, Timestamp

from concilium.adapters.trust.documents import INDEX, VERSION_MAX, Document, read
from concilium.adapters.trust.encoding import canonical
from concilium.adapters.trust.keys import ROLES, Kind
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.targets import Target
from concilium.adapters.trust.update import Index, Offered, Trusted
from concilium.contracts.base import new_id

ROOT_LIFE = timedelta(days=2 * 365)
INDEX_LIFE = timedelta(days=365)
FRESH_LIFE = timedelta(days=30)
"""How long a mesh that hears nothing new goes on believing what it has."""


@dataclass(frozen=True)
class Signers:
    """The keys that an index is signed with."""

    index: CryptoSigner
    freshness: CryptoSigner


def first_root(
    roots: Sequence[CryptoSigner], threshold: int, index: CryptoSigner, freshness: CryptoSigner, now: datetime
) -> bytes:
    """Return root 1 of a new index, signed by all of its root keys."""
    name = {INDEX: new_id("idx")}
    root = Root(1, expires=now + ROOT_LIFE, consistent_snapshot=True, unrecognized_fields=name)
    for kind, signers in {Kind.ROOT: roots, Kind.INDEX: [index], Kind.FRESHNESS: [freshness]}.items():
        _set_keys(root, kind, signers)
    root.roles[Root.type].threshold = threshold
    return signed(Metadata(root), roots)


def next_root(
    current: Document[Root], kind: Kind, drop: Iterable[str], add: Sequence[CryptoSigner], now: datetime
) -> Metadata[Root]:
    """Return the root after this one, not signed yet, in which keys of a kind were replaced.

    Raises:
        TrustRefused: `KEY_UNUSABLE` when a key to drop is not there, `UNREACHABLE_THRESHOLD` when too few are left.
    """
    root: Root = read(Root, current.raw).signed
    root.version, root.expires = root.version + 1, now + ROOT_LIFE
    for key_id in drop:
        for role in ROLES[kind]:
            if key_id not in root.roles[role].keyids:
                raise TrustRefused(Code.KEY_UNUSABLE, f"no {kind} key has the id {key_id}")
            root.revoke_key(key_id, role)
    _set_keys(root, kind, add)
    if any(role.threshold > len(role.keyids) for role in root.roles.values()):
        raise TrustRefused(Code.UNREACHABLE_THRESHOLD, f"too few {kind} keys would be left; add one")
    return Metadata(root)


def _set_keys(root: Root, kind: Kind, signers: Sequence[CryptoSigner]) -> None:
    for signer in signers:
        for role in ROLES[kind]:
            root.add_key(signer.public_key, role)


def publish(
    trusted: Trusted, before: Index | None, entries: Iterable[Target], signers: Signers, now: datetime
) -> Offered:
    """Return an index with these adapters in the place of the one before."""
    version = _after(before.targets if before else None)
    files = {entry.reference.path: entry.to_file() for entry in sorted(entries, key=lambda each: each.reference.path)}
    name = {INDEX: trusted.root.index}
    targets = Targets(version, expires=now + INDEX_LIFE, targets=files, unrecognized_fields=name)
    raw = signed(Metadata(targets), [signers.index])
    return refresh(trusted, before, read(Targets, raw), signers.freshness, now)


def refresh(
    trusted: Trusted, before: Index | None, targets: Document[Targets], freshness: CryptoSigner, now: datetime
) -> Offered:
    """Return an index with these targets, signed anew to be fresh."""
    name = {INDEX: trusted.root.index}
    snapshot = Snapshot(
        _after(before.snapshot if before else None),
        expires=now + FRESH_LIFE,
        meta={"targets.json": _meta(targets)},
        unrecognized_fields=name,
    )
    raw = signed(Metadata(snapshot), [freshness])
    timestamp = Timestamp(
        _after(before.timestamp if before else None),
        expires=now + FRESH_LIFE,
        snapshot_meta=_meta(read(Snapshot, raw)),
        unrecognized_fields=name,
    )
    return Offered(signed(Metadata(timestamp), [freshness]), raw, targets.raw)


def signed(metadata: Metadata[T], signers: Iterable[CryptoSigner]) -> bytes:
    """Return a file with these signatures added."""
    for signer in signers:
        metadata.sign(signer, append=True)
    return canonical(metadata.to_dict())


def _meta(document: Document[T]) -> MetaFile:
    return MetaFile.from_data(document.signed.version, document.raw, ["sha256"])


def _after(document: Document[T] | None) -> int:
    """Versions begin anew at their end: only a rotation, after which everybody forgets them, gets so far."""
    version = document.signed.version if document else 0
    return version + 1 if version < VERSION_MAX else 1
