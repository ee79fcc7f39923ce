"""Files that another user or a crash may have had a hand in: opened without following links, replaced as a whole."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.contracts.errors import Unavailable

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_own(path: Path, limit: int) -> bytes:
    """Return the content of a file that only this user (or root) can have written.

    Raises:
        FileNotFoundError: there is none.
        TrustRefused: `STATE_UNSAFE` when it or its folder is a link, is no plain file, or others may write it;
            `TOO_LARGE` beyond a limit in bytes.
    """
    _check_own(path.parent.lstat(), path.parent, stat.S_ISDIR)
    handle = open_plain(path, Code.STATE_UNSAFE)
    with os.fdopen(handle, "rb") as file:
        _check_own(os.fstat(handle), path, stat.S_ISREG)
        return read_bounded(file.fileno(), limit, path.name)


def read_given(path: Path, limit: int) -> bytes:
    """Return the content of a file that somebody hands over.

    Raises:
        FileNotFoundError: there is none.
        TrustRefused: `UNSAFE_FILE` for a link or anything but a plain file, `TOO_LARGE`.
    """
    handle = open_plain(path, Code.UNSAFE_FILE)
    try:
        return read_bounded(handle, limit, path.name)
    finally:
        os.close(handle)


def open_plain(path: Path | str, code: Code, folder: int | None = None) -> int:
    """Open a plain file for reading, and nothing that a name can lead to instead; return its descriptor.

    Raises:
        FileNotFoundError: there is none.
        TrustRefused: with the code given.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TrustRefused(code, f"{path} cannot be opened as a plain file: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise TrustRefused(code, f"{path} is not a plain file")
    return handle


def read_bounded(handle: int, limit: int, name: str) -> bytes:
    """Return what an open file holds. Raises `TrustRefused` (`TOO_LARGE`), having read one byte more than allowed."""
    with os.fdopen(os.dup(handle), "rb") as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise TrustRefused(Code.TOO_LARGE, f"{name} is larger than {limit} bytes")
    return found


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file's content at once and for good.

    Raises:
        Unavailable: there is no room, or no right to; what was there before is there still.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for, in a folder that is made; a process that dies lets go of it.

    Raises:
        Unavailable: the folder or the lock cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"{path} cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _check_own(found: os.stat_result, path: Path, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(found.st_mode):
        raise TrustRefused(Code.STATE_UNSAFE, f"{path} is a link, or not what it should be")
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & _OTHERS_WRITE:
        raise TrustRefused(Code.STATE_UNSAFE, f"others may write {path}; chmod go-w it and see who did")
