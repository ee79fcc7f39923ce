"""Reading a folder that a stranger filled: plain files of known names and bounded sizes, nothing leading elsewhere."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from concilium.adapters import pickles
from concilium.adapters.refusals import BundleRefused, Refusal

Progress = Callable[[int], None]
"""Told how many bytes more were read."""

_CHUNK = 2**20
_ENTRIES_MAX = 64


def silent(_count: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class PlainFile:
    """An open file that is plain, has one name only and is no larger than allowed.

    Attributes:
        name: its name in its folder.
        size: in bytes.
        stamp: which file it is and when it was written: the same for the same content.
    """

    name: str
    descriptor: int
    size: int
    stamp: tuple[int, ...]

    def read(self, offset: int, count: int) -> bytes:
        """Return bytes of it. Raises `BundleRefused` when it ends before them: it was cut meanwhile."""
        parts = []
        while count > 0:
            part = os.pread(self.descriptor, min(count, 2**30), offset)
            if not part:
                raise BundleRefused(Refusal.CHANGED, f"{self.name} was cut while it was read", file=self.name)
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def sha256(self, progress: Progress = silent) -> str:
        """Return the hash of all of it."""
        found = hashlib.sha256()
        for offset in range(0, self.size, _CHUNK):
            part = self.read(offset, min(_CHUNK, self.size - offset))
            found.update(part)
            progress(len(part))
        return found.hexdigest()


def scan(folder: Path, limits: Mapping[str, int], required: frozenset[str]) -> None:
    """Refuse a folder with anything in it but the files that it should hold.

    Args:
        folder: where to look.
        limits: the names that may be there, with the most bytes each may have.
        required: those that must be.

    Raises:
        BundleRefused: something is there that should not be, or the other way round.
    """
    try:
        found = os.lstat(folder)
        if stat.S_ISLNK(found.st_mode):
            raise BundleRefused(Refusal.SYMLINK, f"{folder} is a symbolic link; name the folder itself")
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_ENTRIES_MAX), strict=False)]
    except (OSError, ValueError) as error:
        raise BundleRefused(Refusal.NOT_A_FOLDER, f"{folder} cannot be read as a folder: {_reason(error)}") from error
    for name in sorted(names):
        _check_entry(folder, name, limits)
    for name in sorted(required - set(names)):
        raise BundleRefused(Refusal.MISSING_FILE, f"{name} is not in {folder}", file=name)


@contextmanager
def opened(folder: Path, name: str, limit: int, *, links: bool = False) -> Iterator[PlainFile]:
    """Open a plain file of a folder, without waiting for a pipe.

    Args:
        folder: where it is.
        name: what it is called there.
        limit: the most bytes it may have.
        links: whether it may be a link or have other names: the folder is the owner's own.

    Raises:
        BundleRefused: it is absent, not plain or too large, or a link where none may be.
    """
    follow = 0 if links else os.O_NOFOLLOW
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | follow | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        _refuse_open(folder, name, error)
    try:
        found = os.fstat(descriptor)
        _check_kind(name, found, links=links)
        if found.st_size > limit:
            detail = f"{name} has {found.st_size} bytes, {limit} at most are taken"
            raise BundleRefused(Refusal.TOO_LARGE, detail, file=name)
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        yield PlainFile(name, descriptor, found.st_size, stamp)
    finally:
        os.close(descriptor)


def read(folder: Path, name: str, limit: int) -> bytes:
    """Return a plain file of a folder. Raises `BundleRefused` as `opened` does."""
    with opened(folder, name, limit) as file:
        return file.read(0, file.size)


def _check_entry(folder: Path, name: str, limits: Mapping[str, int]) -> None:
    shown = ascii(name)
    if not (name.isascii() and name.isprintable()):
        detail = f"{shown} in {folder} has characters that only look like others; names are printable ASCII"
        raise BundleRefused(Refusal.BAD_NAME, detail, file=shown)
    found = os.lstat(folder / name)
    if stat.S_ISDIR(found.st_mode):
        raise BundleRefused(Refusal.SUBFOLDER, f"{name} is a folder; a bundle has none", file=name)
    if not stat.S_ISLNK(found.st_mode):
        # Before it is opened: opening a device can do something.
        _check_kind(name, found, links=False)
    with opened(folder, name, limits.get(name, 2**63)) as file:
        kind = pickles.kind_of(name, file.read(0, min(file.size, pickles.HEAD)), _tail(file))
    if kind:
        detail = f"{name} is {kind}: reading it can run code; save the weights as safetensors"
        raise BundleRefused(Refusal.PICKLE, detail, file=name)
    if name not in limits:
        known = ", ".join(limits)
        raise BundleRefused(
            Refusal.UNKNOWN_FILE, f"{name} is no file of a bundle; remove it. Known: {known}", file=name
        )


def _tail(file: PlainFile) -> bytes:
    count = min(file.size, pickles.TAIL)
    return file.read(file.size - count, count)


def _refuse_open(folder: Path, name: str, error: OSError | ValueError) -> NoReturn:
    if isinstance(error, ValueError):
        raise BundleRefused(Refusal.BAD_NAME, f"{ascii(name)[:80]} is no name of a file", file=ascii(name)) from error
    if error.errno == errno.ELOOP:
        detail = f"{name} is a symbolic link; put the file itself there"
        raise BundleRefused(Refusal.SYMLINK, detail, file=name) from error
    if error.errno == errno.ENOENT:
        raise BundleRefused(Refusal.MISSING_FILE, f"{name} is not in {folder}", file=name) from error
    if error.errno in {errno.ENXIO, errno.ENODEV}:
        raise BundleRefused(Refusal.SPECIAL_FILE, f"{name} is no plain file", file=name) from error
    raise BundleRefused(Refusal.NOT_A_FOLDER, f"{name} cannot be opened: {_reason(error)}", file=name) from error


def _check_kind(name: str, found: os.stat_result, *, links: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        detail = f"{name} is no plain file (a device, pipe, socket or folder)"
        raise BundleRefused(Refusal.SPECIAL_FILE, detail, file=name)
    if found.st_nlink != 1 and not links:
        detail = f"{name} has {found.st_nlink} names (hard links), so it can be changed from elsewhere; copy it"
        raise BundleRefused(Refusal.HARD_LINK, detail, file=name)


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
