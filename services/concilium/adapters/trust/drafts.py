"""A root on its way to enough signatures: a file that is carried from stick to stick."""

from pathlib import Path

from tuf.api.metadata import Root

from concilium.adapters.trust import author
from concilium.adapters.trust.documents import LIMITS, read
from concilium.adapters.trust.files import read_given
from concilium.adapters.trust.keys import ROLES, KeyFolder, Kind
from concilium.adapters.trust.refusals import Code, TrustRefused


def read_draft(file: Path) -> bytes:
    """Return the draft in a file.

    Raises:
        TrustRefused: there is none, or it is not one.
    """
    try:
        return read(Root, read_given(file, LIMITS[Root])).raw
    except FileNotFoundError as error:
        raise TrustRefused(Code.MISSING_ROLE, f"there is no draft {file}") from error


def changes(raw: bytes, current: Root | None) -> list[str]:
    """Say, for whoever is about to sign a draft, which keys it adds and drops and what it asks for."""
    draft = read(Root, raw).signed
    told = [f"root {draft.version}, good until {draft.expires:%Y-%m-%d}"]
    for kind in Kind:
        role = ROLES[kind][0]
        new, old = draft.roles[role], current.roles[role] if current else None
        told += [f"{kind}: adds {key}" for key in new.keyids if not old or key not in old.keyids]
        told += [f"{kind}: drops {key}" for key in (old.keyids if old else ()) if key not in new.keyids]
        told.append(f"{kind}: {new.threshold} of {len(new.keyids)} keys have to sign")
    return told


def cosign(raw: bytes, current: Root | None, stick: KeyFolder) -> bytes:
    """Return a draft with the signatures of the root keys on a stick, of those that are asked for it.

    Raises:
        TrustRefused: `KEY_UNUSABLE` when the stick holds no such key, or it does not open.
    """
    draft = read(Root, raw)
    roots = [root for root in (current, draft.signed) if root]
    asked = {key_id for root in roots for key_id in root.roles[Root.type].keyids}
    return author.signed(draft.metadata, stick.load(Kind.ROOT, sorted(asked)))
