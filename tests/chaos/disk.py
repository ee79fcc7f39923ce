"""A small disk of the ledger's own that can be filled to the last byte: a tmpfs in a private mount namespace."""

import ctypes
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SIZE = 160 * 1024 * 1024
_INSIDE = "CHAOS_OWN_MOUNTS"
_CHUNKS = (1 << 20, 1 << 12)


def enter_namespace(arguments: Sequence[str]) -> None:
    """Run this command again where it may mount: root in a mount namespace, others in a user namespace as well.

    Returns when that is done already, or is not permitted here. The namespace, and the disk with it, ends with the
    command, however that ends.
    """
    if _INSIDE in os.environ:
        return
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-current-user", "--keep-caps"]
    allowed = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    os.environ[_INSIDE] = "1" if allowed else ""
    if allowed:
        os.execvp(unshare[0], [*unshare, sys.executable, *arguments])


def can_mount() -> bool:
    """Whether this process is where it may mount."""
    return bool(os.environ.get(_INSIDE))


class Disk:
    """A mounted tmpfs of `SIZE` bytes, and the balloon that fills it."""

    def __init__(self, folder: Path) -> None:
        """Mount it on a new folder. Raises OSError."""
        folder.mkdir(parents=True)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"size={SIZE},mode=0755".encode()
        if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "tmpfs cannot be mounted")
        self.folder = folder
        self._balloon = folder / "balloon"

    def fill(self) -> None:
        """Leave no room for another byte: what is written from now on ends with ENOSPC.

        A SQLite log that was longer once is written over without needing room, so it is emptied first.
        """
        for path in self.folder.glob("*.sqlite3"):
            _empty_log(path)
        with self._balloon.open("ab", buffering=0) as file:
            for size in _CHUNKS:
                while _grown(file.fileno(), size):
                    pass

    def free(self) -> None:
        """Give the room back."""
        self._balloon.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Let go of it and of what is on it."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.umount2(os.fsencode(self.folder), 2)  # MNT_DETACH of umount2(2)


def _empty_log(path: Path) -> None:
    conn = sqlite3.connect(path, timeout=1.0)
    try:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError:
        pass  # somebody reads it right now; then it keeps its length, and only blobs find no room
    finally:
        conn.close()


def _grown(file: int, size: int) -> bool:
    try:
        return os.write(file, bytes(size)) == size
    except OSError:
        return False
