"""Content-addressed files: ``<root>/ab/cd/<sha256>``. A file's modification time is when it was last touched."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from uuid import uuid4

from concilium.contracts.errors import Invalid, NotFound

KEEP_S = 86_400.0
"""A blob that nobody refers to stays this long after it was last put."""
_CHUNK = 1 << 20
_FILES = "[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"


class Blobs:
    """The files; who may see them is decided by the tables."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._partial = root / "partial"
        self._partial.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, sha256: str) -> Path:
        """Return where a blob is or would be. Raises `Invalid` unless the name is a SHA-256 in lower-case hex."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise Invalid("a blob is named by its SHA-256 in 64 lower-case hex digits")
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def open(self, sha256: str) -> Path:
        """Return the file of a blob. Raises `NotFound`."""
        path = self.path(sha256)
        if not path.is_file():
            raise NotFound(f"no blob {sha256}")
        return path

    def put(self, data: bytes, expected: str | None = None) -> tuple[str, int]:
        """Store bytes; return their SHA-256 and size. Raises `Invalid` when the hash is not the expected one."""
        digest = hashlib.sha256(data).hexdigest()
        _verify(digest, expected)
        path = self.path(digest)
        if not _touch(path):
            part = self._part()
            try:
                part.write_bytes(data)
                _publish(part, path)
            finally:
                part.unlink(missing_ok=True)
        return digest, len(data)

    async def put_stream(self, stream: AsyncIterable[bytes], expected: str | None = None) -> tuple[str, int]:
        """Store a stream chunk by chunk, hashing on the way; nothing remains of one that breaks or does not match.

        Raises:
            Invalid: the hash is not the expected one.
        """
        part, digest, size = self._part(), hashlib.sha256(), 0
        try:
            with part.open("wb") as file:
                async for chunk in _gathered(stream):
                    size += len(chunk)
                    await asyncio.to_thread(_absorb, file.write, digest.update, chunk)
            name = digest.hexdigest()
            _verify(name, expected)
            path = self.path(name)
            if not _touch(path):
                _publish(part, path)
        finally:
            part.unlink(missing_ok=True)
        return name, size

    def touch(self, digests: Iterable[str]) -> None:
        """Keep blobs from `gc` for another day. Raises `NotFound` naming one that does not exist."""
        for digest in digests:
            if not _touch(self.path(digest)):
                raise NotFound(f"no blob {digest}; PUT it first")

    def hold(self, sha256: str) -> bool:
        """Keep a blob from `gc` for another day; False when it is not here."""
        return _touch(self.path(sha256))

    def untouched(self) -> Iterator[str]:
        """Yield the blobs that nobody has put for `KEEP_S`."""
        for path in self.root.glob(_FILES):
            if _stale(path):
                yield path.name

    def remove(self, sha256: str) -> int | None:
        """Delete a blob unless it was touched meanwhile; return the bytes freed, None when it stays."""
        path = self.path(sha256)
        if not _stale(path):
            return None
        size = path.stat().st_size
        path.unlink()
        return size

    def remove_partial(self) -> None:
        """Delete what broken uploads left behind a day ago."""
        for part in self._partial.iterdir():
            if _stale(part):
                part.unlink(missing_ok=True)

    def total(self) -> int:
        """Return the bytes of all blobs."""
        return sum(path.stat().st_size for path in self.root.glob(_FILES))

    def _part(self) -> Path:
        return self._partial / uuid4().hex


async def _gathered(stream: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Join small chunks, so that a thread hop pays."""
    buffer = bytearray()
    async for chunk in stream:
        buffer += chunk
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def _absorb(write: Callable[[bytes], object], update: Callable[[bytes], object], chunk: bytes) -> None:
    write(chunk)
    update(chunk)


def _verify(digest: str, expected: str | None) -> None:
    if expected is not None and digest != expected:
        raise Invalid(f"the content's SHA-256 is {digest}, not {expected}; send it again")


def _touch(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _publish(part: Path, path: Path) -> None:
    """Make a finished file appear under its name at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part.rename(path)


def _stale(path: Path) -> bool:
    """Whether a file was not touched for `KEEP_S`, by the file system's own clock and ours on the same machine."""
    try:
        return path.stat().st_mtime < time.time() - KEEP_S
    except FileNotFoundError:
        return False
