"""Fetching a model's weights: what was begun is carried on, what is wrong never gets its name.

A file is written as ``<name>.part`` and gets its name once its size, its SHA-256 and, for weights, its header are
right. A part is carried on with ``Range`` and ``If-Range`` (RFC 9110, 13.1.5 and 14.2), so only from the same content.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import orjson

from concilium.contracts.errors import DiskFull, Invalid, Unavailable
from concilium.engine import listing
from concilium.engine.listing import Digest, Entry
from concilium.engine.remote import CHUNK, Content, Remote
from concilium.engine.weights import RECEIPT, Receipt, receipt

AT_ONCE = 4
"""Files fetched side by side."""
TRIES = 5
"""Attempts for one file without a byte of progress in between."""
PAUSE_S = 1.0
"""Before the second attempt; twice as long before each further one."""
SPARE_BYTES = 1 << 30
"""Room left on the disk for everything else."""
_HEADER_BYTES = 100 << 20
"""Largest header of a safetensors file, as its own library has it."""

Progress = Callable[[str, int], None]
"""Told a file's name and how many of its bytes are here."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What is to be fetched."""

    source: str
    commit: str
    entries: Sequence[Entry]
    left_out: Sequence[str]

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(entry.size or 0 for entry in self.entries)


async def of_hub(remote: Remote, hub: str, repository: str, revision: str = "main") -> Pull:
    """Return what a hub has of a repository, all of one commit. Raises as `Remote.open`, and `Invalid`."""
    api = f"{hub.rstrip('/')}/api/models/{repository}"
    try:
        commit = str(orjson.loads(await remote.read(f"{api}/revision/{quote(revision, safe='')}"))["sha"])
    except (orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise Invalid(f"{hub} does not say which commit {revision} of {repository} is") from error
    tree = await remote.read(f"{api}/tree/{quote(commit, safe='')}?recursive=true")
    source = f"{hub.rstrip('/')}/{repository}"
    return await _pull(remote, source, commit, listing.from_tree(tree, f"{source}/resolve/{quote(commit, safe='')}/"))


async def of_folder(remote: Remote, base: str) -> Pull:
    """Return what a folder with a list ``SHA256SUMS`` has. Raises as `Remote.open`, and `Invalid`."""
    base = base.rstrip("/") + "/"
    sums = await remote.read(base + listing.SUMS)
    return await _pull(remote, base, "", listing.from_sums(sums.decode("utf-8", "replace"), base))


async def _pull(remote: Remote, source: str, commit: str, listed: Sequence[Entry]) -> Pull:
    kept, left_out = listing.choose(listed)
    sized = [e if e.size is not None else replace(e, size=await remote.size(e.url)) for e in kept]
    return Pull(source, commit, sized, left_out)


async def fetch(remote: Remote, wanted: Pull, place: Path, progress: Progress) -> Receipt:
    """Fetch all files into a folder and return its receipt, which is written last.

    Raises:
        DiskFull: they do not fit; nothing was asked for.
        Invalid: a file is not what was listed; it did not get its name.
        Unavailable: the server was in trouble too often; what came is kept and carried on next time.
    """
    _prepare(wanted, place)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(entry: Entry) -> str:
        async with slots:
            return await _File(remote, entry, place, progress).fetched()

    async with contextlib.AsyncExitStack() as stack:
        tasks = [asyncio.create_task(one(entry)) for entry in wanted.entries]
        stack.push_async_callback(_ended, tasks)
        sums = await asyncio.gather(*tasks)
    files = {entry.name: found for entry, found in zip(wanted.entries, sums, strict=True)}
    made = Receipt(source=wanted.source, commit=wanted.commit, files=files)
    new = place / f"{RECEIPT}.new"
    new.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
    new.replace(place / RECEIPT)
    return made


def _prepare(wanted: Pull, place: Path) -> None:
    """Make the folder; what was of another source or commit is not complete any more. Raises `DiskFull`."""
    place.mkdir(parents=True, exist_ok=True)
    done = receipt(place)
    if done and (done.commit, done.source) != (wanted.commit, wanted.source):
        (place / RECEIPT).unlink()
        for name in set(done.files) - {entry.name for entry in wanted.entries}:
            (place / name).unlink(missing_ok=True)
    _check_room(wanted, place)


async def _ended(tasks: Sequence[asyncio.Task[str]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _check_room(wanted: Pull, place: Path) -> None:
    here = sum(_size(place / entry.name) or _size(_part(place, entry)) for entry in wanted.entries)
    needed, free = max(0, wanted.total - here), shutil.disk_usage(place).free
    if needed + SPARE_BYTES > free:
        raise DiskFull(
            f"{wanted.source} needs {needed / 1e9:.2f} GB more and {place} has {free / 1e9:.2f} GB free, "
            f"of which {SPARE_BYTES / 1e9:.2f} GB stay free"
        )


def _part(place: Path, entry: Entry) -> Path:
    return place / f"{entry.name}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


class _File:
    """Fetches one file."""

    def __init__(self, remote: Remote, entry: Entry, place: Path, progress: Progress) -> None:
        self._remote, self._entry, self._progress = remote, entry, progress
        self._path, self._part = place / entry.name, _part(place, entry)
        self._tag = place / f"{entry.name}.part.etag"
        self._wanted = entry.size or 0

    async def fetched(self) -> str:
        """Return the file's SHA-256 once it is there and right. Raises as `fetch`."""
        if self._path.is_file() and _size(self._path) == self._wanted:
            digest = await asyncio.to_thread(_digest, self._path, self._entry)
            if digest.right:
                self._progress(self._entry.name, self._wanted)
                return digest.sha256
        await self._complete()
        digest = await asyncio.to_thread(_digest, self._part, self._entry)
        if not digest.right:
            self._forget()
            raise Invalid(f"{self._entry.name} is not what was listed: its SHA-256 is {digest.sha256}")
        if self._entry.name.endswith(".safetensors") and not _is_safetensors(self._part):
            self._forget()
            raise Invalid(f"{self._entry.name} is named safetensors and is none; it is not kept")
        self._part.replace(self._path)
        self._tag.unlink(missing_ok=True)
        return digest.sha256

    async def _complete(self) -> None:
        """Fetch until all bytes are there; only attempts that bring nothing are counted."""
        fruitless = 0
        while True:
            before = _size(self._part)
            try:
                await self._continue(before)
                return
            except Unavailable as error:
                have = _size(self._part)
                fruitless = 0 if have > before else fruitless + 1
                if fruitless >= TRIES:
                    kept = f"{have} of {self._wanted} bytes are kept: run it again to carry on"
                    raise Unavailable(f"{error.detail}; {kept}") from error
            await asyncio.sleep(PAUSE_S * 2**fruitless)

    async def _continue(self, have: int) -> None:
        """Ask for what is missing and write it. Raises `Unavailable` when not all of it came."""
        etag = self._tag.read_text(encoding="ascii") if self._tag.is_file() else ""
        if have > self._wanted:
            self._forget()
            have = 0
        async with self._remote.open(self._entry.url, have, etag) as content:
            self._judge(content, have)
            try:
                self._tag.write_text(content.etag, encoding="ascii")
                with self._part.open("r+b" if self._part.exists() else "wb") as file:
                    file.truncate(content.start)
                    file.seek(content.start)
                    came = content.start + await self._append(file, content)
            except UnicodeEncodeError as error:
                raise Invalid(f"{self._entry.name}: its ETag is not ASCII") from error
        if came < self._wanted:
            raise Unavailable(f"{self._entry.name}: the answer ended after {came} bytes")

    def _judge(self, content: Content, have: int) -> None:
        if content.total is not None and content.total != self._wanted:
            self._forget()
            raise Invalid(f"{self._entry.name} has {content.total} bytes there, but {self._wanted} are listed")
        if content.start not in (0, have):
            raise Invalid(
                f"{self._entry.name}: bytes from {content.start} on came, those from {have} on were asked for"
            )

    async def _append(self, file: BinaryIO, content: Content) -> int:
        """Write what comes and return how much that was. Raises `Invalid` when it is more than was listed."""
        came = 0
        async for chunk in content.chunks:
            came += len(chunk)
            if content.start + came > self._wanted:
                self._forget()
                raise Invalid(f"{self._entry.name} is longer than the {self._wanted} bytes that are listed")
            try:
                await asyncio.to_thread(file.write, chunk)
            except OSError as error:
                raise DiskFull(f"{self._part} cannot be written: {error.strerror}") from error
            self._progress(self._entry.name, content.start + came)
        return came

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


def _digest(path: Path, entry: Entry) -> Digest:
    digest = entry.digest()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then that much JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= _HEADER_BYTES:
            return False
        try:
            return isinstance(orjson.loads(file.read(length)), dict)
        except orjson.JSONDecodeError:
            return False
