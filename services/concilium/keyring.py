"""Secrets in files that may be replaced while processes use them.

``keys/<name>.key`` holds the secret of today. When it is replaced, the one before goes to ``keys/<name>.previous.key``
with the time until which it is still taken, so that nobody is refused who has not heard yet. Whoever shows or checks a
secret asks here at each use; a file that has not changed is not read again.
"""

import hmac
import os
import time
from contextlib import suppress
from pathlib import Path

from concilium.contracts.errors import Unavailable

_Mark = tuple[int, int, int] | None


class KeyFile:
    """One secret, the way its file has it now."""

    def __init__(self, folder: Path, name: str) -> None:
        self._key = folder / f"{name}.key"
        self._previous = folder / f"{name}.previous.key"
        self._seen: tuple[_Mark, _Mark] = (None, None)
        self._current = ""
        self._older: tuple[tuple[float, str], ...] = ()

    @property
    def current(self) -> str:
        """The secret to show. Raises `Unavailable` when there is none."""
        self._refresh()
        return self._current

    def accepted(self) -> tuple[str, ...]:
        """Return the secrets that are good now, the current one first. Raises `Unavailable` when there is none."""
        self._refresh()
        now = time.time()
        return (self._current, *(secret for until, secret in self._older if until > now))

    def matches(self, presented: str) -> bool:
        """Whether a secret is one of those; takes the same time for every wrong one."""
        given = presented.encode()
        found = [hmac.compare_digest(given, secret.encode()) for secret in self.accepted()]
        return any(found)

    def replace(self, secret: str, overlap_s: float) -> None:
        """Put a new secret into the file; the one before is taken for so many seconds more, for 0 none is.

        A crash in between leaves the old secret in force.
        """
        before, end = self.current, time.time() + overlap_s
        older = [*self._older, (end, before)] if overlap_s > 0 else []
        lines = "".join(f"{until:.0f} {old}\n" for until, old in older if until > time.time())
        if lines:
            write_private(self._previous, lines)
        else:
            self._previous.unlink(missing_ok=True)
        write_private(self._key, secret + "\n")

    def _refresh(self) -> None:
        marks = _mark(self._key), _mark(self._previous)
        if marks == self._seen and self._current:
            return
        try:
            current = self._key.read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise Unavailable(f"no secret {self._key}; `concilium up` writes it") from error
        lines = self._previous.read_text(encoding="ascii").splitlines() if marks[1] else []
        older = []
        for line in lines:
            until, _, secret = line.partition(" ")
            with suppress(ValueError):
                older.append((float(until), secret))
        self._current, self._older, self._seen = current, tuple(older), marks


def _mark(path: Path) -> _Mark:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write_private(path: Path, text: str) -> None:
    """Replace a file's content at once and for good, readable by its owner alone."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
