"""Files of a run: unpacked into the box before it, collected as regular files after it."""

# Plain os calls: importing pathlib would lengthen the start of every run.
# ruff: noqa: PTH101, PTH102, PTH123

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

WORK, OUT, TMP, SHM, SCRIPT = "work", "out", "tmp", "shm", "script"


@dataclass
class Collected:
    """What goes back: ``(name, content)`` pairs, and a line for each thing left out."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)


def unpack(box: str, files: list[tuple[str, str, bytes]], owner: int | None) -> dict[str, str]:
    """Make the box's folders and write ``(folder, name, content)`` files.

    Returns the SHA-256 (hex) of each by ``folder/name``.
    """
    for folder in (WORK, OUT, TMP, SHM, SCRIPT):
        os.mkdir(f"{box}/{folder}", 0o700 if folder != SCRIPT else 0o755)
        if owner is not None:
            os.chown(f"{box}/{folder}", owner, owner)
    digests = {}
    for folder, name, content in files:
        path = f"{box}/{folder}/{name}"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o644)
        if owner is not None and folder != SCRIPT:
            os.chown(path, owner, owner)
        digests[f"{folder}/{name}"] = hashlib.sha256(content).hexdigest()
    return digests


def collect(box: str, given: dict[str, str], files_max: int, bytes_max: int) -> Collected:
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
        for name, entry in _regular_files(top, "", result.omitted, depth=0):
            with os.fdopen(entry, "rb") as file:
                size = os.fstat(entry).st_size
                if len(result.files) >= files_max:
                    result.omitted.append(f"{name}: more than {files_max} files")
                elif size > left:
                    result.omitted.append(f"{name}: {size} bytes, more than the {bytes_max} bytes that come back")
                else:
                    content = file.read(left)
                    if given.get(f"{folder}/{name}") != hashlib.sha256(content).hexdigest():
                        result.files.append((name, content))
                        left -= len(content)
        os.close(top)
    del result.omitted[64:]
    return result


_DEPTH_MAX = 16


def _regular_files(folder: int, prefix: str, omitted: list[str], depth: int) -> Iterator[tuple[str, int]]:
    """Yield ``(relative name, descriptor)`` of each regular file; the caller closes the descriptor."""
    for name in sorted(os.listdir(folder)):
        label = (prefix + name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            omitted.append(f"{label}: not a regular file")
            continue
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_DIRECTORY if stat.S_ISDIR(mode) else 0)
        try:
            entry = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            omitted.append(f"{label}: {error.strerror}")
            continue
        status = os.fstat(entry)
        if stat.S_ISDIR(status.st_mode) and depth < _DEPTH_MAX:
            yield from _regular_files(entry, f"{label}/", omitted, depth + 1)
            os.close(entry)
        elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            yield label, entry
        else:
            omitted.append(f"{label}: too deep, or a file with several names")
            os.close(entry)
