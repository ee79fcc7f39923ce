"""The proof without which nothing is handed to an engine."""

from collections.abc import Collection
from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Never, final

from concilium.adapters.trust.bundle import check_files, manifest_of, opened
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.state import TrustState
from concilium.adapters.trust.targets import Reference, Target, check_name
from concilium.adapters.trust.update import check_current


@final
class _Seal:
    """Known to this module alone."""


_SEAL: Final = _Seal()


@final
@dataclass(frozen=True, slots=True)
class VerifiedAdapter:
    """A bundle whose every byte was found to be what the index names; only `verify` makes one.

    Whoever takes this type instead of a path cannot be given what was not verified. It neither pickles nor copies:
    a proof is good in the process that made it, until `good_until`, and for the folder it names as long as nobody
    can write there.
    """

    seal: InitVar[_Seal]
    reference: Reference
    digest: str
    folder: Path
    bytes: int
    restricted: bool
    index_version: int
    good_until: datetime

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("a VerifiedAdapter is made by concilium.adapters.trust.verify and by nothing else")

    def __init_subclass__(cls) -> Never:
        raise TypeError("a VerifiedAdapter has no subclasses")

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a VerifiedAdapter is neither pickled nor copied; verify again")


def verify(
    state: TrustState, folder: Path, now: datetime, *, models: Collection[str], allow_restricted: bool = False
) -> VerifiedAdapter:
    """Prove that a bundle is one that the index names, is not revoked, and is whole.

    Args:
        now: by the clock that leases are judged by; one that was set back is not believed.
        models: what the mesh calls its base models: no adapter may be called that.
        allow_restricted: the caller asked for a restricted adapter and may have it.

    Raises:
        TrustRefused: with the code of the check that failed; see `Code`.
    """
    index, good_until = check_current(state.at(now), now)
    with opened(folder) as handle:
        manifest = manifest_of(handle)
        target = index.entries.get(manifest.reference)
        check_name(manifest.reference, models)
        _check_target(manifest.target, target, allow_restricted=allow_restricted)
        check_files(handle, manifest)
    version, claims = index.targets.signed.version, manifest.target
    return VerifiedAdapter(
        _SEAL, claims.reference, claims.digest, folder, claims.bytes, claims.restricted, version, good_until
    )


def check_named(state: TrustState, reference: Reference, digest: str, now: datetime) -> None:
    """Look whether the index names an adapter, without reading its files.

    Args:
        digest: SHA-256 of its ``manifest.json``.
        now: by the clock that leases are judged by.

    Raises:
        TrustRefused: with the code of the check that failed.
    """
    index, _ = check_current(state.at(now), now)
    _named(reference, digest, index.entries.get(reference))


def _named(reference: Reference, digest: str, target: Target | None) -> Target:
    if target is None:
        raise TrustRefused(Code.NOT_IN_INDEX, f"the index does not name {reference}")
    if target.digest != digest:
        raise TrustRefused(Code.DIGEST_MISMATCH, f"{reference} of the index is {target.digest}")
    if target.revoked:
        raise TrustRefused(Code.REVOKED, f"{reference} is revoked: {target.revoked}")
    return target


def _check_target(claims: Target, entry: Target | None, *, allow_restricted: bool) -> None:
    target = _named(claims.reference, claims.digest, entry)
    if (target.bytes, target.manifest_bytes, target.restricted) != (
        claims.bytes,
        claims.manifest_bytes,
        claims.restricted,
    ):
        raise TrustRefused(Code.CLAIMS_DIFFER, f"the manifest of {claims.reference} claims what the index does not say")
    if target.restricted and not allow_restricted:
        raise TrustRefused(Code.RESTRICTED, f"{claims.reference} is restricted and was not asked for as such")
