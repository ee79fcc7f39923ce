"""Making a home of a backup again. What was there before is moved aside, never removed.

The archive is unpacked and checked as a whole beside what is there; only then does anything move. A file marks the
home while things move, so that a restore that was cut off is not taken for a mesh.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from concilium.cli import lifecycle, pidfile
from concilium.cli.archive import LEDGER, Manifest, digest_of, unpack
from concilium.cli.errors import CliError
from concilium.contracts.base import utc_now
from concilium.contracts.errors import Conflict
from concilium.home import Home
from concilium.ledger import snapshot
from concilium.ledger.blobs import Blobs

_ASIDE = "before-restore-"
_SCRATCH = ".restore-"


@dataclass(frozen=True)
class Restored:
    """A home that was made of a backup."""

    manifest: Manifest
    unfinished: int
    """Tasks that carry on with the next start."""
    aside: str
    """Where in the home the old one is; empty when there was none."""


def restore(
    home: Home, source: Path, *, force: bool, sha256: str | None, report: Callable[[int, int], None]
) -> Restored:
    """Make a home of an archive.

    Args:
        home: the home; empty, or with ``force`` moved aside.
        source: the archive.
        force: whether a home that is not empty may be moved aside.
        sha256: what the archive has to be; None: the sums inside are all that is checked.
        report: told bytes read and bytes in all.

    Raises:
        CliError: the mesh runs, the home is not empty, or the archive is not what it should be; nothing is changed.
        Unavailable: the ledger in it is damaged or newer than this program; nothing is changed.
    """
    _check_source(source, sha256)
    check_stopped(home)
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    old = _entries(home)
    if old and not force:
        raise CliError(f"{home.root} is not empty", "--force moves what is there aside, into a folder beside it")
    with _scratch(home) as scratch:
        manifest = _unpacked(source, scratch, report)
        found = snapshot.Snapshot(
            manifest.kind, manifest.revision, manifest.taken_at, manifest.tasks, tuple(manifest.blobs)
        )
        snapshot.check(scratch / LEDGER, found)
        after = home.with_config(Home(scratch, home.environ).config)
        _check_target(after, found, force=force)
        return _move_in(after, scratch, manifest, found)


def check_stopped(home: Home) -> None:
    """Raise `CliError` when a process of the home's mesh runs."""
    alive = [path.stem for path in sorted(home.run.glob("*.pid")) if pidfile.living(path)]
    if alive or lifecycle.running(home) is not None:
        raise CliError(f"the mesh of {home.root} runs ({', '.join(alive)})", "stop it first: `concilium down`")


def _check_source(source: Path, sha256: str | None) -> None:
    if not source.is_file():
        raise CliError(f"there is no backup {source}")
    if sha256 is not None and digest_of(source) != sha256.strip().lower():
        raise CliError(f"{source} is not the file with that SHA-256", "nothing was restored; take another backup")


def _check_target(home: Home, found: snapshot.Snapshot, *, force: bool) -> None:
    if snapshot.kind_of(home.ledger_url) != found.kind:
        raise CliError(
            f"the backup holds a ledger of {found.kind}, and ledger.url names {snapshot.kind_of(home.ledger_url)}",
            "set ledger.url to a database of that kind",
        )
    inside = found.kind == snapshot.SQLITE and snapshot.file_of(home.ledger_url).is_relative_to(home.root)
    if not inside and not force and snapshot.in_use(home.ledger_url):
        raise CliError("the database that ledger.url names holds a ledger already", "--force moves it aside")


def _unpacked(source: Path, scratch: Path, report: Callable[[int, int], None]) -> Manifest:
    try:
        return unpack(source, scratch, report)
    except OSError as error:
        raise CliError(f"{source} cannot be unpacked into {scratch.parent}: {error.strerror or error}") from error


def _move_in(home: Home, scratch: Path, manifest: Manifest, found: snapshot.Snapshot) -> Restored:
    """Put the checked files in their places. The database of a server goes first: it is loaded whole or not at all."""
    stamp = f"{_ASIDE}{utc_now():%Y%m%dT%H%M%SZ}"
    aside, old = home.root / stamp, _entries(home)
    try:
        with snapshot.unused(home.ledger_url):
            unfinished = snapshot.put_back(home.ledger_url, scratch / LEDGER, found, stamp)
            mark = home.root / lifecycle.RESTORE_MARK
            mark.write_text(f"{scratch} and {aside}\n", encoding="utf-8")
            for path in old:
                aside.mkdir(mode=0o700, exist_ok=True)
                path.rename(aside / path.name)
            if found.kind == snapshot.SQLITE:
                _place(scratch / LEDGER, snapshot.file_of(home.ledger_url), stamp)
            _place_blobs(Blobs(home.blobs), scratch / "blobs")
            for path in sorted(scratch.iterdir()):
                if path.name not in {LEDGER, "blobs"}:
                    path.rename(home.root / path.name)
            os.sync()
            mark.unlink()
    except Conflict as error:
        raise CliError(error.detail) from error
    return Restored(manifest, unfinished, str(aside) if aside.exists() else "")


def _entries(home: Home) -> list[Path]:
    """Return what a home holds besides backups and what earlier restores moved aside."""
    ours = (home.backups.name, lifecycle.RESTORE_MARK)
    found = home.root.iterdir() if home.root.is_dir() else ()
    return sorted(path for path in found if path.name not in ours and not path.name.startswith((_ASIDE, _SCRATCH)))


def _place(source: Path, target: Path, stamp: str) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for ending in ("", "-wal", "-shm"):
        there = target.with_name(target.name + ending)
        if there.exists():  # only outside the home: what was in it has moved already
            there.rename(there.with_name(f"{target.name}.{stamp}{ending}"))
    shutil.move(source, target)


def _place_blobs(blobs: Blobs, folder: Path) -> None:
    for source in sorted(folder.iterdir()) if folder.is_dir() else ():
        target = blobs.path(source.name)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.move(source, target)


@contextmanager
def _scratch(home: Home) -> Iterator[Path]:
    """Yield a folder on the home's own disk; what an earlier restore left of its own goes."""
    for left in home.root.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=home.root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
