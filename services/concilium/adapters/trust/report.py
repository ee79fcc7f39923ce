"""What is believed, for people and programs that look."""

from datetime import datetime

from concilium.adapters.trust.documents import AnyDocument
from concilium.adapters.trust.refusals import TrustRefused
from concilium.adapters.trust.targets import Target
from concilium.adapters.trust.update import Trusted, check_current, fingerprint
from concilium.contracts.base import JSON


def report(trusted: Trusted, now: datetime) -> dict[str, JSON]:
    """Return what is believed as JSON; `refused` is empty while an index is good."""
    try:
        _, until = check_current(trusted, now)
        refused = ""
    except TrustRefused as refusal:
        until, refused = None, refusal.detail
    index = trusted.index
    documents: tuple[AnyDocument, ...] = (trusted.root, *(index.documents if index else ()))
    return {
        "index": trusted.root.index,
        "fingerprint": fingerprint(trusted.root.raw),
        "good_until": until.isoformat() if until else None,
        "refused": refused,
        "roles": [_role(trusted, document) for document in documents],
        "adapters": [adapter(target) for target in (index.entries.values() if index else ())],
    }


def adapter(target: Target) -> dict[str, JSON]:
    """Return one adapter of an index as JSON."""
    return {
        "adapter": str(target.reference),
        "digest": target.digest,
        "bytes": target.bytes,
        "restricted": target.restricted,
        "revoked": target.revoked,
    }


def _role(trusted: Trusted, document: AnyDocument) -> dict[str, JSON]:
    role = trusted.root.signed.roles[document.signed.type]
    return {
        "role": document.signed.type,
        "version": document.signed.version,
        "expires": document.signed.expires.isoformat(),
        "threshold": role.threshold,
        "keys": role.keyids,
    }
