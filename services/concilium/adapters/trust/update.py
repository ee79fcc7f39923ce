"""What is believed, and how it changes: the client workflow of TUF 1.0 (section 5.3 to 5.6) as a fold.

Nothing here reads a file or a clock. `follow` goes from root to root, `assemble` reads an index under the newest one,
`accept` takes it. The moment to judge by is never before the last one that was witnessed, so that a clock that is set
back does not bring an expired index to life.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import MetaFile, Root, Snapshot, T, Targets, Timestamp

from concilium.adapters.trust.documents import AnyDocument, Document, read
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.targets import Reference, Target, read_targets

_ONLINE = (Timestamp.type, Snapshot.type, Targets.type)


@dataclass(frozen=True)
class Offered:
    """The files of an index as somebody hands them over."""

    timestamp: bytes
    snapshot: bytes
    targets: bytes


@dataclass(frozen=True)
class Index:
    """An index that was accepted: three files that belong together."""

    timestamp: Document[Timestamp]
    snapshot: Document[Snapshot]
    targets: Document[Targets]

    @cached_property
    def entries(self) -> Mapping[Reference, Target]:
        """Every version of every adapter, the revoked ones too."""
        return read_targets(self.targets.signed.targets)

    @property
    def offered(self) -> Offered:
        """Its files."""
        return Offered(self.timestamp.raw, self.snapshot.raw, self.targets.raw)

    @property
    def documents(self) -> tuple[Document[Timestamp], Document[Snapshot], Document[Targets]]:
        """Its files, the one that is renewed most often first."""
        return self.timestamp, self.snapshot, self.targets


@dataclass(frozen=True)
class Trusted:
    """What is believed."""

    roots: tuple[Document[Root], ...]
    """From the one that was trusted by its fingerprint to the newest, each signed by the one before."""
    time: datetime
    """The latest moment that was seen; never later than what was signed was good until."""
    index: Index | None = None

    @property
    def root(self) -> Document[Root]:
        """The newest."""
        return self.roots[-1]


def fingerprint(raw: bytes) -> str:
    """Return what a first root is trusted by: its SHA-256 in hex."""
    return sha256(raw).hexdigest()


def begin(raw: bytes, now: datetime) -> Trusted:
    """Return the belief in one root that signed itself. Raises `TrustRefused`."""
    root = read(Root, raw)
    _check_signed(root, root.signed)
    return Trusted((root,), _aware(now))


def follow(trusted: Trusted, raws: Iterable[bytes]) -> Trusted:
    """Go on to newer roots, given in the order of their versions; those that are known already are passed over.

    When the keys of an online role change, the index is forgotten: its versions may have been driven up by whoever
    held the old keys (TUF 1.0 section 5.3.11).

    Raises:
        TrustRefused: `ROOT_GAP` when a version is left out, `EQUIVOCATION` when a known version is another,
            `FOREIGN_INDEX`, `NOT_ENOUGH_SIGNATURES` unless the root before and the root itself are content.
    """
    for raw in raws:
        new = read(Root, raw)
        trusted = _step(trusted, new)
    return trusted


def _step(trusted: Trusted, new: Document[Root]) -> Trusted:
    old, first = trusted.root, trusted.roots[0].signed.version
    if new.signed.version < first:
        return trusted
    if new.signed.version <= old.signed.version:
        if new.payload != trusted.roots[new.signed.version - first].payload:
            raise TrustRefused(Code.EQUIVOCATION, f"root {new.signed.version} is not the one that is known")
        return trusted
    if new.signed.version != old.signed.version + 1:
        raise TrustRefused(Code.ROOT_GAP, f"after root {old.signed.version} comes {new.signed.version}")
    _check_index(old, new)
    _check_signed(new, old.signed, new.signed)
    kept = trusted.index if all(_keys(old.signed, role) == _keys(new.signed, role) for role in _ONLINE) else None
    return replace(trusted, roots=(*trusted.roots, new), index=kept)


def _keys(root: Root, role: str) -> tuple[set[str], int]:
    return set(root.roles[role].keyids), root.roles[role].threshold


def accept(trusted: Trusted, index: Index, now: datetime) -> Trusted:
    """Take an index, of the version that is held or a newer one.

    Raises:
        TrustRefused: `EXPIRED`, `ROLLBACK`, `EQUIVOCATION`, `VERSION_REUSED`.
    """
    if trusted.index:
        _check_not_older(trusted.index, index)
    taken = witness(replace(trusted, index=index), index, now)
    check_current(taken, now)
    return taken


def witness(trusted: Trusted, index: Index, now: datetime) -> Trusted:
    """Remember a moment, but none later than an index is good until.

    So what was seen expired stays expired, and a clock that was once far ahead does no harm beyond that.
    """
    return replace(trusted, time=max(trusted.time, min(_aware(now), _good_until(trusted, index))))


def assemble(root: Document[Root], offered: Offered) -> Index:
    """Return three files as one index.

    Raises:
        TrustRefused: `NOT_ENOUGH_SIGNATURES`, `FOREIGN_INDEX`, `MIX_AND_MATCH` when one does not name the next by
            version, length and hash, and what `documents.read` refuses.
    """
    timestamp = _read(root, Timestamp, offered.timestamp)
    _check_named(timestamp.signed.snapshot_meta, offered.snapshot, "snapshot")
    snapshot = _read(root, Snapshot, offered.snapshot)
    _check_same_version(timestamp.signed.snapshot_meta, snapshot)
    _check_named(snapshot.signed.meta["targets.json"], offered.targets, "targets")
    targets = _read(root, Targets, offered.targets)
    _check_same_version(snapshot.signed.meta["targets.json"], targets)
    return Index(timestamp, snapshot, targets)


def check_current(trusted: Trusted, now: datetime) -> tuple[Index, datetime]:
    """Return the index that is good at a moment, and until when it is.

    Raises:
        TrustRefused: `NO_INDEX` when there is none, `EXPIRED`.
    """
    if trusted.index is None:
        raise TrustRefused(Code.NO_INDEX, "no index is held under the newest root; import one")
    moment = max(_aware(now), trusted.time)
    for document in _documents(trusted, trusted.index):
        if document.signed.is_expired(moment):
            role, until = document.signed.type, f"{document.signed.expires:%Y-%m-%d %H:%M} UTC"
            raise TrustRefused(Code.EXPIRED, f"{role} {document.signed.version} was good until {until}")
    return trusted.index, _good_until(trusted, trusted.index)


def _documents(trusted: Trusted, index: Index) -> tuple[AnyDocument, ...]:
    return trusted.root, *index.documents


def _good_until(trusted: Trusted, index: Index) -> datetime:
    return min(document.signed.expires for document in _documents(trusted, index))


def _aware(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return now.astimezone(UTC).replace(microsecond=0)


def _read(root: Document[Root], role: type[T], raw: bytes) -> Document[T]:
    document = read(role, raw)
    _check_index(root, document)
    _check_signed(document, root.signed)
    return document


def _check_index(root: Document[Root], document: AnyDocument) -> None:
    if document.index != root.index:
        raise TrustRefused(Code.FOREIGN_INDEX, f"{document.signed.type} is of the index {document.index}")


def _check_signed(document: AnyDocument, *roots: Root) -> None:
    """Check that enough keys of each root signed a document, and that no signature is there in vain."""
    good: set[str] = set()
    for root in roots:
        result = root.get_verification_result(document.signed.type, document.payload, document.metadata.signatures)
        if not result:
            raise TrustRefused(
                Code.NOT_ENOUGH_SIGNATURES,
                f"{document.signed.type} {document.signed.version} has {len(result.signed)} good signatures of "
                f"{result.threshold} that it needs",
            )
        good.update(result.signed)
    if good != set(document.metadata.signatures):
        raise TrustRefused(Code.STRAY_SIGNATURE, f"{document.signed.type} has a signature that is bad or a stranger's")


def _check_named(meta: MetaFile, raw: bytes, name: str) -> None:
    try:
        meta.verify_length_and_hashes(raw)
    except LengthOrHashMismatchError as error:
        raise TrustRefused(Code.MIX_AND_MATCH, f"this {name} is not the one that is named") from error


def _check_same_version(meta: MetaFile, document: AnyDocument) -> None:
    if meta.version != document.signed.version:
        raise TrustRefused(Code.MIX_AND_MATCH, f"this {document.signed.type} has another version than is said of it")


def _check_not_older(held: Index, new: Index) -> None:
    pairs: tuple[tuple[AnyDocument, AnyDocument], ...] = tuple(zip(held.documents, new.documents, strict=True))
    for old, offered in pairs:
        was, now = old.signed.version, offered.signed.version
        if now < was:
            raise TrustRefused(Code.ROLLBACK, f"{offered.signed.type} {now} is older than {was}, which is held")
        if now == was and offered.payload != old.payload:
            raise TrustRefused(Code.EQUIVOCATION, f"{offered.signed.type} {now} is not the one that is held")
    for reference, entry in held.entries.items():
        _check_history(entry, new.entries.get(reference))


def _check_history(old: Target, new: Target | None) -> None:
    same = new is not None and replace(new, revoked=old.revoked) == old
    if not same or (old.revoked and new and not new.revoked):
        raise TrustRefused(Code.VERSION_REUSED, f"{old.reference} was dropped, changed or taken back into use")
