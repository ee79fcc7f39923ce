"""Log files that processes append to themselves and that are rotated by size without asking the writer.

The file is copied and then cut (it is opened in append mode), so a process outlives both a rotation and its supervisor.
"""

import os
import shutil
from pathlib import Path

LOG_BYTES = 10 * 1024 * 1024
LOG_FILES = 3
"""Older generations kept: ``name.log.1`` is the youngest."""


def open_for_append(path: Path) -> int:
    """Return a file descriptor that appends to the log, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def rotate(path: Path, limit: int = LOG_BYTES) -> bool:
    """Start the log anew when it is larger than ``limit`` bytes; return whether it was.

    Raises OSError, with everything as it was, when there is no space for the copy.
    """
    if not path.is_file() or path.stat().st_size <= limit:
        return False
    copy = generation(path, 0)
    try:
        shutil.copy2(path, copy)
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    for age in range(LOG_FILES, 0, -1):
        younger = generation(path, age - 1)
        if younger.exists():
            younger.replace(generation(path, age))
    os.truncate(path, 0)
    return True


def generation(path: Path, age: int) -> Path:
    """Return the name of the log's generation ``age`` rotations ago."""
    return path.with_name(f"{path.name}.{age}")


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, fewer when it is shorter, none when there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 2048 * max(lines, 1)))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []
