"""A metadata file of one role, read strictly.

The model is python-tuf's (TUF specification 1.0). That reader is lenient: it takes unknown members, any key type, a
key under an id that is not its hash, hence one key under two ids, which would count twice towards a threshold. What
is not exactly as this room writes it is refused here, before a signature is looked at.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Generic

from securesystemslib.exceptions import Error as SecuresystemslibError
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, T, Targets, Timestamp

from concilium.adapters.trust.encoding import canonical, decode
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.targets import is_sha256, read_targets
from concilium.contracts.base import JSON

VERSION_MAX = 2**31 - 1
INDEX = "concilium-index"
"""The member of every role that names the index it belongs to: keys may serve several, their files may not."""
LIMITS: Mapping[type[Signed], int] = {
    Root: 64 * 1024,
    Timestamp: 16 * 1024,
    Snapshot: 16 * 1024,
    Targets: 8 * 1024 * 1024,
}
"""The largest file of each role in bytes."""
_INDEX_NAME = re.compile(r"idx_[0-9a-z]{26}")
_SPECIFICATION = re.compile(r"1\.0\.[0-9]{1,3}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_ENVELOPE = {"signatures", "signed"}


@dataclass(frozen=True)
class Document(Generic[T]):
    """One metadata file: what it says, and the bytes that say so."""

    raw: bytes
    payload: bytes
    """What is signed: the member ``signed``, as it stands in `raw`."""
    metadata: Metadata[T] = field(compare=False)

    @property
    def signed(self) -> T:
        """What it says."""
        return self.metadata.signed

    @property
    def index(self) -> str:
        """The index it belongs to."""
        return str(self.signed.unrecognized_fields[INDEX])


AnyDocument = Document[Root] | Document[Timestamp] | Document[Snapshot] | Document[Targets]


def read(role: type[T], raw: bytes) -> Document[T]:
    """Read a file as that of one role; no signature is checked.

    Raises:
        TrustRefused: with the code of the first thing that is not as it has to be.
    """
    members = decode(raw, LIMITS[role])
    signed = members.get("signed")
    if set(members) != _ENVELOPE or not isinstance(signed, dict):
        raise _malformed("it has other members than signatures and signed")
    if signed.get("_type") != role.type:
        raise TrustRefused(Code.WRONG_ROLE, f"the file is not of the role {role.type}")
    check_version(signed.get("version"))
    _check_signatures(members["signatures"])
    try:
        metadata: Metadata[T] = Metadata.from_dict(deepcopy(members))
        again = canonical(metadata.to_dict())
    except (ValueError, KeyError, TypeError, AttributeError, SecuresystemslibError) as error:
        raise _malformed(str(error)) from error
    if again != raw:
        raise _malformed("a value is not written the way it is read")
    _check_common(metadata.signed)
    _CHECKS[role](metadata.signed)
    return Document(raw, canonical(signed), metadata)


def check_version(version: JSON) -> None:
    """Raises `TrustRefused` (`BAD_VERSION`) unless this is a whole number from 1 to `VERSION_MAX`."""
    if type(version) is not int or not 1 <= version <= VERSION_MAX:
        raise TrustRefused(Code.BAD_VERSION, f"a version is not a number from 1 to {VERSION_MAX}")


def _check_signatures(signatures: JSON) -> None:
    if not isinstance(signatures, list) or not all(isinstance(each, dict) for each in signatures):
        raise _malformed("signatures are no list of objects")
    for each in signatures:
        if set(each) != {"keyid", "sig"} or not is_sha256(each["keyid"]) or not _is_signature(each["sig"]):
            raise _malformed("a signature is not a key id and 64 bytes in hex")
    ids = [each["keyid"] for each in signatures]
    if len(set(ids)) != len(ids):
        raise TrustRefused(Code.DUPLICATE_SIGNATURE, "one key signs twice")


def _is_signature(text: JSON) -> bool:
    return isinstance(text, str) and _SIGNATURE.fullmatch(text) is not None


def _check_common(signed: Signed) -> None:
    name = signed.unrecognized_fields.get(INDEX)
    if set(signed.unrecognized_fields) != {INDEX} or not isinstance(name, str) or not _INDEX_NAME.fullmatch(name):
        raise _malformed(f"it has other members than its role has, or no {INDEX}")
    if not _SPECIFICATION.fullmatch(signed.spec_version):
        raise _malformed("it is not of TUF 1.0")


def _check_root(root: Root) -> None:
    if root.consistent_snapshot is not True:
        raise _malformed("files have to be named by version")
    for key in root.keys.values():
        _check_key(key)
    used: set[str] = set()
    for name, role in root.roles.items():
        if role.unrecognized_fields:
            raise _malformed(f"the role {name} has unknown members")
        if type(role.threshold) is not int or role.threshold > len(role.keyids):
            raise TrustRefused(Code.UNREACHABLE_THRESHOLD, f"the role {name} asks for more keys than it has")
        used.update(role.keyids)
    if used != set(root.keys):
        raise _malformed("its keys are not those that its roles name")
    others = {keyid for name, role in root.roles.items() if name != Root.type for keyid in role.keyids}
    if others & set(root.roles[Root.type].keyids):
        raise TrustRefused(Code.ROLE_KEYS_SHARED, "a root key serves another role too")


def _check_key(key: Key) -> None:
    if (key.keytype, key.scheme) != ("ed25519", "ed25519"):
        raise TrustRefused(Code.UNKNOWN_KEY_TYPE, "a key is not Ed25519")
    public = key.keyval.get("public")
    if key.unrecognized_fields or set(key.keyval) != {"public"} or not is_sha256(public):
        raise TrustRefused(Code.UNKNOWN_KEY_TYPE, "a key is not 32 bytes in lower-case hex")
    if key.keyid != key_id(str(public)):
        raise TrustRefused(Code.KEY_ID_MISMATCH, "a key's id is not its hash")


def key_id(public: str) -> str:
    """Return the id of an Ed25519 key, given in hex: the SHA-256 of its canonical form (TUF 1.0 section 4.2)."""
    key = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}
    return sha256(canonical(key)).hexdigest()


def _check_timestamp(timestamp: Timestamp) -> None:
    _check_meta(timestamp.snapshot_meta)


def _check_snapshot(snapshot: Snapshot) -> None:
    if set(snapshot.meta) != {"targets.json"}:
        raise _malformed("a snapshot names targets.json and nothing else")
    _check_meta(snapshot.meta["targets.json"])


def _check_meta(meta: MetaFile) -> None:
    check_version(meta.version)
    hashes = meta.hashes or {}
    if meta.unrecognized_fields or type(meta.length) is not int or set(hashes) != {"sha256"}:
        raise _malformed("a file is not named by version, length and SHA-256")
    if not is_sha256(hashes["sha256"]):
        raise _malformed("a hash is not SHA-256 in hex")


def _check_targets(targets: Targets) -> None:
    if targets.delegations is not None:
        raise _malformed("an index delegates to nobody")
    read_targets(targets.targets)


_CHECKS: Mapping[type[Signed], Callable[..., None]] = {
    Root: _check_root,
    Timestamp: _check_timestamp,
    Snapshot: _check_snapshot,
    Targets: _check_targets,
}


def _malformed(what: str) -> TrustRefused:
    return TrustRefused(Code.MALFORMED, f"the file is malformed: {what}")
