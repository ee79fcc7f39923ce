"""An index as files in a folder, to be carried to another home: the layout of a TUF repository (TUF 1.0 section 6).

Files are named by version, and ``timestamp.json`` is written last, so that whoever reads the folder meanwhile finds
the index before or the one after.
"""

import re
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Root, Snapshot, T, Targets, Timestamp

from concilium.adapters.trust import update
from concilium.adapters.trust.documents import LIMITS, read
from concilium.adapters.trust.files import read_given, replace_file
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.state import TrustState
from concilium.adapters.trust.update import Offered, Trusted
from concilium.contracts.errors import Unavailable

_ROOT_NAME = re.compile(r"([1-9][0-9]{0,9})\.root\.json")
_ROOTS_MAX = 1024


def export_to(state: TrustState, folder: Path) -> list[Path]:
    """Write what a home believes into a folder, and return the files.

    Raises:
        TrustRefused: `NO_INDEX` among others.
        Unavailable: the folder cannot be written.
    """
    trusted = state.load()
    if trusted.index is None:
        raise TrustRefused(Code.NO_INDEX, "there is no index to export")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be made: {error.strerror}") from error
    timestamp, snapshot, targets = trusted.index.documents
    files = {f"{root.signed.version}.root.json": root.raw for root in trusted.roots}
    files[f"{snapshot.signed.version}.snapshot.json"] = snapshot.raw
    files[f"{targets.signed.version}.targets.json"] = targets.raw
    files["timestamp.json"] = timestamp.raw
    for name, raw in files.items():
        replace_file(folder / name, raw, 0o644)
    return [folder / name for name in files]


def import_from(state: TrustState, folder: Path, now: datetime, fingerprint: str = "") -> Trusted:
    """Believe what a folder holds, as far as it is signed by whom this home trusts.

    New roots are kept even when the index beside them is refused: a key that they revoke is revoked.

    Args:
        fingerprint: of one of the roots; needed at the first time, and checked against what is known later.

    Raises:
        TrustRefused: `NOT_INITIALISED` when nothing is known and no fingerprint given, `UNKNOWN_ROOT`,
            `MISSING_ROLE`, and what `update` refuses.
    """
    roots = _roots(folder)
    with state.changing():
        known = state.load() if state.exists or not fingerprint else None
        trusted = update.follow(known or _first(roots, fingerprint, now), roots)
        if fingerprint and fingerprint not in {update.fingerprint(root.raw) for root in trusted.roots}:
            raise TrustRefused(Code.UNKNOWN_ROOT, f"no root that is known here has the fingerprint {fingerprint}")
        state.store(trusted)
        index = update.assemble(trusted.root, _offered(folder))
        state.store(update.witness(trusted, index, now))
        trusted = update.accept(trusted, index, now)
        state.store(trusted)
        return trusted


def _first(roots: list[bytes], fingerprint: str, now: datetime) -> Trusted:
    for raw in reversed(roots):
        if update.fingerprint(raw) == fingerprint:
            return update.begin(raw, now)
    raise TrustRefused(Code.UNKNOWN_ROOT, f"no root in the folder has the fingerprint {fingerprint}")


def _roots(folder: Path) -> list[bytes]:
    found = [match for path in folder.glob("*.root.json") if (match := _ROOT_NAME.fullmatch(path.name))]
    if len(found) > _ROOTS_MAX:
        raise TrustRefused(Code.TOO_LARGE, f"there are more than {_ROOTS_MAX} roots")
    found.sort(key=lambda match: int(match[1]))
    return [_read(Root, folder / match[0]) for match in found]


def _offered(folder: Path) -> Offered:
    timestamp = _read(Timestamp, folder / "timestamp.json")
    version = read(Timestamp, timestamp).signed.snapshot_meta.version
    snapshot = _read(Snapshot, folder / f"{version}.snapshot.json")
    version = read(Snapshot, snapshot).signed.meta["targets.json"].version
    return Offered(timestamp, snapshot, _read(Targets, folder / f"{version}.targets.json"))


def _read(role: type[T], path: Path) -> bytes:
    try:
        return read_given(path, LIMITS[role])
    except FileNotFoundError as error:
        raise TrustRefused(Code.MISSING_ROLE, f"there is no {path.name}") from error
