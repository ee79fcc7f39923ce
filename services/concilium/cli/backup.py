"""Taking a backup: the ledger of one moment, the files it names, and what the owner has written into the home."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from concilium import __version__
from concilium.cli.archive import FOLDERS, FORMAT, LEDGER, Manifest, Writer, digest_of, writing
from concilium.cli.errors import USAGE, CliError
from concilium.contracts.base import utc_now
from concilium.home import Home
from concilium.ledger import snapshot
from concilium.ledger.blobs import Blobs

_NAMED = re.compile(r"concilium-\d{8}T\d{6}Z\.tar\.gz")
_SCRATCH = ".backup-"
_TRIES = 3
Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Taken:
    """A backup that was taken."""

    path: Path
    sha256: str
    size: int
    manifest: Manifest
    removed: tuple[str, ...]
    """Older backups that ``keep`` did not keep."""


def take(home: Home, target: Path | None, *, keys: bool, keep: int | None, report: Report) -> Taken:
    """Back a home up, whether its mesh runs or not.

    Args:
        home: the home.
        target: the archive, or an existing folder to make one in; None: ``backups/`` in the home.
        keys: whether the secrets in ``keys/`` go along.
        keep: how many backups named by this function stay in the folder; None: all.
        report: told about the progress.

    Raises:
        CliError: the target cannot be used.
        Unavailable: the ledger cannot be read.
    """
    path, named = _target(home, target)
    if keep is not None and not named:
        raise CliError("--keep counts the backups of a folder", "name a folder, not a file", code=USAGE)
    with _only(path.parent), tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as scratch:
        copy = Path(scratch) / LEDGER
        found, missing = _ledger(home, copy, report)
        with writing(path, home.config.ledger.min_free_bytes) as writer:
            writer.add(LEDGER, copy)
            copy.unlink()
            missing += _blobs(Blobs(home.blobs), found.blobs, missing, writer, report)
            left_out = _own_files(home, writer, keys=keys)
            manifest = Manifest(
                format=FORMAT,
                program=__version__,
                kind=found.kind,
                revision=found.revision,
                taken_at=found.taken_at,
                tasks=found.tasks,
                blobs=found.blobs,
                missing=tuple(sorted(missing)),
                left_out=tuple(left_out),
                keys=keys,
                files=writer.files,
            )
            writer.close(manifest)
    _stamp(home)
    removed = _thin_out(path.parent, keep) if keep is not None else ()
    return Taken(path, digest_of(path), path.stat().st_size, manifest, removed)


def _stamp(home: Home) -> None:
    """Note in the home that it was backed up now, so that its age can be watched."""
    home.backups.mkdir(mode=0o700, exist_ok=True)
    home.last_backup.touch(mode=0o600)


def _target(home: Home, target: Path | None) -> tuple[Path, bool]:
    """Return the archive's path and whether its name is ours."""
    if not home.root.is_dir():
        raise CliError(f"there is no home at {home.root}", "CONCILIUM_HOME names it")
    if target is None:
        target = home.backups
        target.mkdir(mode=0o700, exist_ok=True)
    if target.is_dir():
        return target.resolve() / f"concilium-{utc_now():%Y%m%dT%H%M%SZ}.tar.gz", True
    if not target.parent.is_dir():
        raise CliError(f"there is no folder {target.parent}", "make it first", code=USAGE)
    if target.exists() and not target.is_file():
        raise CliError(f"{target} is no file", code=USAGE)
    return target.parent.resolve() / target.name, False


@contextmanager
def _only(folder: Path) -> Iterator[None]:
    """Be the only backup into a folder, and remove what one that was killed left there."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left)
        for left in folder.glob("concilium-*.tar.gz.part"):
            left.unlink()
        yield
    except BlockingIOError as error:
        raise CliError(f"another backup is being written into {folder}", "wait for its end") from error
    finally:
        os.close(handle)


def _ledger(home: Home, copy: Path, report: Report) -> tuple[snapshot.Snapshot, list[str]]:
    """Copy the ledger and hold the files it names; return what it is, and which of them are not there.

    A file whose task is removed between the copy and the touch is gone: then the copy is of the past, and taken again.
    """
    blobs = Blobs(home.blobs)
    missing: list[str] = []
    for _ in range(_TRIES):
        found = snapshot.take(home.ledger_url, copy, lambda done, pages: report("ledger", done, pages))
        missing = [sha256 for sha256 in found.blobs if not blobs.hold(sha256)]
        if not missing:
            break
    return found, missing


def _blobs(blobs: Blobs, names: tuple[str, ...], missing: list[str], writer: Writer, report: Report) -> list[str]:
    """Add the files; return those that are not what their name says, which a restore would refuse."""
    damaged = []
    absent = set(missing)
    for number, sha256 in enumerate(names, 1):
        path = blobs.path(sha256)
        if sha256 not in absent:
            if digest_of(path) == sha256:
                writer.add(f"blobs/{sha256}", path)
            else:
                damaged.append(sha256)
        report("files", number, len(names))
    return damaged


def _own_files(home: Home, writer: Writer, *, keys: bool) -> Iterator[str]:
    """Add what the owner has written; yield what is no plain file and so was left out."""
    own = home.root / "mesh.yaml"
    if own.is_file():
        writer.add("mesh.yaml", own)
    for folder in FOLDERS:
        if folder == "keys" and not keys:
            continue
        for path in _walk(home.root / folder):
            name = path.relative_to(home.root).as_posix()
            # Of what agents remember only the records they have to account for: the rest is worth a day.
            if folder == "agent-state" and path.name != "audit.jsonl":
                continue
            if path.is_symlink() or not path.is_file():
                yield name
            else:
                writer.add(name, path)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield Path(root) / name


def _thin_out(folder: Path, keep: int) -> tuple[str, ...]:
    """Remove all but the newest backups of a folder; return the names of those removed."""
    ours = sorted(path for path in folder.iterdir() if _NAMED.fullmatch(path.name) and path.is_file())
    old = ours[: max(0, len(ours) - keep)]
    for path in old:
        path.unlink()
    return tuple(path.name for path in old)
