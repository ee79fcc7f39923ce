"""What the index says of an adapter, and under which path of TUF's it says so."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import StrictBool, StrictInt, StrictStr, ValidationError
from tuf.api.metadata import TargetFile

from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.contracts.adapters import MANIFEST
from concilium.contracts.base import Model

MANIFEST_BYTES = 1024 * 1024
BUNDLE_BYTES = 64 * 1024**3
_KIND = "adapters"
_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class Reference:
    """One version of one adapter, written ``sport@1.2.0``."""

    id: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read ``<id>@<version>``. Raises `TrustRefused` (`BAD_ID`)."""
        adapter, _, version = text.partition("@")
        return cls(adapter, version).checked()

    def checked(self) -> "Reference":
        """Return this reference. Raises `TrustRefused` (`BAD_ID`) unless it is well formed, in ASCII alone."""
        if not _ID.fullmatch(self.id) or not _VERSION.fullmatch(self.version):
            raise TrustRefused(Code.BAD_ID, f"{str(self)!a} is not <id>@<major>.<minor>.<patch> in ASCII")
        return self

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"

    @property
    def path(self) -> str:
        """The target path: adapters have a space of their own beside whatever else an index may name."""
        return f"{_KIND}/{self.id}/{self.version}/{MANIFEST}"


@dataclass(frozen=True)
class Target:
    """One adapter of the index."""

    reference: Reference
    digest: str
    """SHA-256 of its ``manifest.json``."""
    manifest_bytes: int
    bytes: int
    """Of all files that the manifest lists."""
    restricted: bool
    revoked: str = ""
    """Why it may not be used any more; empty while it may."""

    def to_file(self) -> TargetFile:
        """Return it the way TUF writes it."""
        custom = {"bytes": self.bytes, "restricted": self.restricted, "revoked": self.revoked}
        return TargetFile(self.manifest_bytes, {"sha256": self.digest}, self.reference.path, {"custom": custom})


class _Custom(Model):
    bytes: StrictInt
    restricted: StrictBool
    revoked: StrictStr


def read_targets(files: Mapping[str, TargetFile]) -> dict[Reference, Target]:
    """Return the adapters of an index.

    Raises:
        TrustRefused: `NOT_AN_ADAPTER` for a path of another kind, `BAD_ID`, `BAD_TARGET`.
    """
    found = (_read(path, file) for path, file in files.items())
    return {target.reference: target for target in found}


def _read(path: str, file: TargetFile) -> Target:
    kind, *rest = path.split("/")
    if kind != _KIND or len(rest) != 3 or rest[2] != MANIFEST:
        raise TrustRefused(Code.NOT_AN_ADAPTER, f"the index names {path!r}, which is no adapter")
    reference = Reference(rest[0], rest[1]).checked()
    digest, size = file.hashes.get("sha256"), file.length
    try:
        custom = _Custom.model_validate(file.custom)
    except ValidationError as error:
        raise _bad(reference) from error
    sizes = type(size) is int and 0 < size <= MANIFEST_BYTES and 0 < custom.bytes <= BUNDLE_BYTES
    known = set(file.unrecognized_fields) == {"custom"} and set(file.hashes) == {"sha256"}
    if not known or not sizes or not is_sha256(digest) or not _is_reason(custom.revoked):
        raise _bad(reference)
    return Target(reference, str(digest), size, custom.bytes, custom.restricted, custom.revoked)


def check_name(reference: Reference, models: Iterable[str]) -> None:
    """Check that an adapter is not called what a base model is, with or without the model's owner before a slash.

    Raises:
        TrustRefused: `NAME_TAKEN`.
    """
    taken = {name.lower() for model in models for name in (model, model.rpartition("/")[2])}
    if reference.id in taken:
        raise TrustRefused(Code.NAME_TAKEN, f"{reference.id} is the name of a base model")


def is_sha256(text: object) -> bool:
    """Whether this is a SHA-256 in lower-case hex."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def _is_reason(text: str) -> bool:
    return len(text) <= _REASON_CHARACTERS and text.isprintable()


def reason(text: str) -> str:
    """Return why an adapter is revoked.

    Raises:
        TrustRefused: `BAD_TARGET` unless it is one printable line of 1 to 200 characters.
    """
    if not text or not _is_reason(text):
        raise TrustRefused(Code.BAD_TARGET, f"a reason is one printable line of 1 to {_REASON_CHARACTERS} characters")
    return text


def _bad(reference: Reference) -> TrustRefused:
    return TrustRefused(Code.BAD_TARGET, f"what the index says of {reference} makes no sense")
