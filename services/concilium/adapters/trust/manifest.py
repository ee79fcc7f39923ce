"""What this room reads in a bundle's ``manifest.json``: who it says it is, and the hash of every other file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from concilium.adapters.trust.encoding import decode_json
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.targets import BUNDLE_BYTES, MANIFEST_BYTES, Reference, Target, is_sha256
from concilium.contracts.adapters import MANIFEST, REPORT, WEIGHTS
from concilium.contracts.base import JSON

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FILES_MAX = 64


@dataclass(frozen=True)
class Listed:
    """One file that a manifest lists."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The part of a manifest that trust rests on."""

    raw: bytes
    reference: Reference
    restricted: bool
    files: Mapping[str, Listed]
    claimed: str | None
    """The verdict that it says its report comes to; None: it claims none."""

    @property
    def digest(self) -> str:
        """The digest of the adapter, which names every byte of it."""
        return sha256(self.raw).hexdigest()

    @property
    def bytes(self) -> int:
        """Of all files that it lists."""
        return sum(file.bytes for file in self.files.values())

    @property
    def target(self) -> Target:
        """What an index has to say of it."""
        return Target(self.reference, self.digest, len(self.raw), self.bytes, self.restricted)


def read_manifest(raw: bytes) -> Manifest:
    """Read a ``manifest.json``.

    Raises:
        TrustRefused: `TOO_LARGE`, `NOT_JSON`, `DUPLICATE_MEMBER`, `BAD_ID`, `BAD_MANIFEST`, and `REPORT_MISSING` when
            it claims a report that it does not list.
    """
    members = decode_json(raw, MANIFEST_BYTES)
    reference = Reference(_text(members, "id"), _text(members, "version")).checked()
    restricted, listed, reports = members.get("restricted", False), members.get("files"), members.get("reports", {})
    if not isinstance(listed, dict) or not 0 < len(listed) <= _FILES_MAX or WEIGHTS not in listed:
        raise _bad(f"it lists no {WEIGHTS}, or more than {_FILES_MAX} files")
    if not isinstance(restricted, bool) or not isinstance(reports, dict):
        raise _bad("it says neither clearly whether it is restricted nor what its reports say")
    files = {name: _listed(name, file) for name, file in listed.items()}
    if not set(reports) <= set(files) & {REPORT}:
        raise TrustRefused(Code.REPORT_MISSING, f"{reference} claims a report that it does not list")
    return Manifest(raw, reference, restricted, files, reports.get(REPORT))


def check_report(manifest: Manifest, raw: bytes) -> None:
    """Check that a report, whose bytes are the listed ones, says what the manifest claims.

    Raises:
        TrustRefused: `REPORT_MISSING` when it says something else.
    """
    if manifest.claimed != decode_json(raw, MANIFEST_BYTES).get("verdict"):
        raise TrustRefused(Code.REPORT_MISSING, f"{REPORT} does not say what {manifest.reference} claims of it")


def _text(members: Mapping[str, JSON], name: str) -> str:
    found = members.get(name)
    if not isinstance(found, str):
        raise _bad(f"it has no {name}")
    return found


def _listed(name: str, file: JSON) -> Listed:
    if not _NAME.fullmatch(name) or name == MANIFEST:
        raise _bad(f"it lists {name!a}, which is no plain file name beside it")
    size = file.get("bytes") if isinstance(file, dict) else None
    if type(size) is not int or not 0 <= size <= BUNDLE_BYTES or not is_sha256(file.get("sha256")):
        raise _bad(f"it does not say the size and SHA-256 of {name}")
    return Listed(file["sha256"], size)


def _bad(what: str) -> TrustRefused:
    return TrustRefused(Code.BAD_MANIFEST, f"the manifest makes no sense: {what}")
