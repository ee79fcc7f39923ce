"""Files of a run: unpacked into the box before it, collected as regular files after it."""

# Plain os calls: importing pathlib would lengthen the start of every run.
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH114, PTH123

import contextlib
import os
import stat
from collections.abc import Iterator

WORK, OUT, TMP, SHM, SCRIPT = "work", "out", "tmp", "shm", "script"


class Collected:
    """What goes back: ``(name, content)`` pairs, and a line for each thing left out."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.omitted: list[str] = []


def unpack(box: str, files: list[tuple[str, str, bytes]], owner: int | None) -> dict[str, bytes]:
    """Make the box's folders and write ``(folder, name, content)`` files.

    Returns the content of each by ``folder/name``.
    """
    for folder in (WORK, OUT, TMP, SHM, SCRIPT):
        os.mkdir(f"{box}/{folder}", 0o700 if folder != SCRIPT else 0o755)
        if owner is not None:
            os.chown(f"{box}/{folder}", owner, owner)
    given = {}
    for folder, name, content in files:
        path = f"{box}/{folder}/{name}"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o644)
        if owner is not None and folder != SCRIPT:
            os.chown(path, owner, owner)
        given[f"{folder}/{name}"] = content
    return given


def collect(box: str, given: dict[str, bytes], files_max: int, bytes_max: int) -> Collected:
    """Read the new and changed regular files of ``out`` and ``work``, by name order, within the caps.

    Links are never followed, not even by a race: every step is opened relative to its folder without following
    links, and what was opened is checked to be a regular file with one name.
    """
    result = Collected()
    left = bytes_max
    for folder in (OUT, WORK):
        try:
            top = os.open(f"{box}/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            result.omitted.append(f"{folder}: the folder is gone")
            continue
        for name, entry in _Walk(result.omitted).regular_files(top):
            with os.fdopen(entry, "rb") as file:
                size = os.fstat(entry).st_size
                if len(result.files) >= files_max:
                    result.omitted.append(f"{name}: more than {files_max} files")
                elif size > left:
                    result.omitted.append(f"{name}: {size} bytes, more than the {bytes_max} bytes that come back")
                else:
                    content = file.read(left)
                    if given.get(f"{folder}/{name}") != content:
                        result.files.append((name, content))
                        left -= len(content)
        os.close(top)
    del result.omitted[64:]
    return result


_DEPTH_MAX = 16
_LOOKED_AT = 4096
"""Entries of a folder and its folders that are looked at: a run must not make collecting slow."""


class _Walk:
    """A walk over what a run left, that notes what it passes over."""

    def __init__(self, omitted: list[str]) -> None:
        self.omitted, self.seen = omitted, 0

    def regular_files(self, folder: int, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
        """Yield ``(relative name, descriptor)`` of each regular file; the caller closes the descriptor."""
        for name in sorted(os.listdir(folder)):
            label = (prefix + name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            self.seen += 1
            if self.seen > _LOOKED_AT:
                self.omitted.insert(0, f"{label} and what follows: more than {_LOOKED_AT} files and folders")
                return
            try:
                yield from self._entry(folder, name, label, depth)
            except OSError as error:
                self.omitted.append(f"{label}: {error.strerror}")

    def _entry(self, folder: int, name: str, label: str, depth: int) -> Iterator[tuple[str, int]]:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            self.omitted.append(f"{label}: not a regular file")
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_DIRECTORY if stat.S_ISDIR(mode) else 0)
        entry = os.open(name, flags, dir_fd=folder)
        status = os.fstat(entry)
        if stat.S_ISDIR(status.st_mode) and depth < _DEPTH_MAX:
            yield from self.regular_files(entry, f"{label}/", depth + 1)
            os.close(entry)
        elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            yield label, entry
        else:
            self.omitted.append(f"{label}: too deep, or a file with several names")
            os.close(entry)


def remove(folder: str) -> None:
    """Remove a folder and all in it, links themselves and not what they point to; what cannot be removed stays."""
    for place, folders, files in os.walk(folder, topdown=False, onerror=None, followlinks=False):
        for name in files:
            with contextlib.suppress(OSError):
                os.unlink(f"{place}/{name}")
        for name in folders:
            with contextlib.suppress(OSError):
                os.unlink(f"{place}/{name}") if os.path.islink(f"{place}/{name}") else os.rmdir(f"{place}/{name}")
    with contextlib.suppress(OSError):
        os.rmdir(folder)
