"""The archive of a backup: a gzipped tar of plain files whose last member is a manifest with the SHA-256 of each.

Names inside are few and fixed: ``ledger``, ``mesh.yaml``, ``blobs/<sha256>``, and files below ``keys/``, ``agents/``,
``configs/``, ``workflows/`` and ``agent-state/``. Reading trusts nothing: what is no plain file under such a name, is
not in the manifest, or differs from it, ends the reading.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import Field, ValidationError

from concilium.cli.errors import CliError
from concilium.contracts.base import Model

FORMAT = 1
MANIFEST = "manifest.json"
LEDGER = "ledger"
FOLDERS = ("keys", "agents", "configs", "workflows", "agent-state")
MANIFEST_BYTES = 256 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LEVEL = 1
"""gzip's: files are mostly compressed already, and a backup should not compete with the mesh for a core."""
_CHUNK = 1 << 20


class Entry(Model):
    """One file of the archive."""

    sha256: str
    size: int = Field(ge=0)


class Manifest(Model):
    """What an archive holds; its last member."""

    format: int
    program: str
    """Version of concilium that wrote it."""
    kind: str
    revision: str
    """Schema revision of the ledger."""
    taken_at: float
    """Seconds since the epoch, by the ledger's clock."""
    tasks: int
    blobs: tuple[str, ...]
    """Every file that the ledger names."""
    missing: tuple[str, ...] = ()
    """Those of them that were not there, or not what their name says, when the backup was taken."""
    left_out: tuple[str, ...] = ()
    """Links and other things in the home that are no plain files."""
    keys: bool
    files: dict[str, Entry]


class Writer:
    """Adds files to an archive."""

    def __init__(self, tar: tarfile.TarFile, room: Callable[[], None]) -> None:
        self._tar = tar
        self._room = room
        self.files: dict[str, Entry] = {}

    def add(self, name: str, path: Path) -> None:
        """Add a file. Raises OSError."""
        self._room()
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            info = _info(name, status.st_size, 0o700 if status.st_mode & 0o100 else 0o600)
            source = _Hashing(file)
            self._tar.addfile(info, source)
        self.files[name] = Entry(sha256=source.digest.hexdigest(), size=info.size)

    def close(self, manifest: Manifest) -> None:
        """Add the manifest."""
        data = manifest.model_dump_json().encode()
        self._tar.addfile(_info(MANIFEST, len(data), 0o600), io.BytesIO(data))


@contextmanager
def writing(target: Path, reserve_bytes: int) -> Iterator[Writer]:
    """Yield the writer of a new archive; it appears under its name, with mode 0600, when it is whole.

    Args:
        target: where; replaced when there is one.
        reserve_bytes: free space that has to be left on its disk.

    Raises:
        CliError: the disk has no room for it.
    """
    part = target.with_name(target.name + ".part")

    def room() -> None:
        if shutil.disk_usage(target.parent).free < reserve_bytes:
            raise CliError(
                f"no room for the backup on the disk of {target.parent}: {reserve_bytes} bytes have to stay free",
                "name a file on another disk",
            )

    part.unlink(missing_ok=True)
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as raw:
            with (
                gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=_LEVEL) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                yield Writer(tar, room)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
        _sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)


def unpack(source: Path, folder: Path, progress: Callable[[int, int], None]) -> Manifest:
    """Write the files of an archive into an empty folder and return its manifest, everything checked.

    Raises:
        CliError: it is damaged, cut off, changed, or holds what a backup does not.
    """
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    total = source.stat().st_size
    try:
        with (
            source.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            for member in tar:
                if manifest is not None:
                    raise _changed(f"{member.name!r} follows its manifest")
                content = _content(tar, member)
                if member.name == MANIFEST:
                    manifest = _manifest(content.read(MANIFEST_BYTES))
                    continue
                if member.name in found:
                    raise _changed(f"{member.name!r} is in it twice")
                found[member.name] = _write(content, folder / _safe(member.name), member.mode)
                progress(raw.tell(), total)
            while packed.read(_CHUNK):
                continue  # what follows the tar is still under gzip's checksum
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CliError(f"{source} is damaged or cut off ({error})", "take another backup") from error
    if manifest is None:
        raise CliError(f"{source} is cut off: its manifest is missing", "take another backup")
    _compare(found, manifest)
    return manifest


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(count)
        self.digest.update(data)
        return data


def _info(name: str, size: int, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    return info


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise _changed(f"{member.name!r} is a link, a folder or a device")
    return content


def _safe(name: str) -> str:
    """Return a member's name when a backup has such a member. Raises `CliError`."""
    path = PurePosixPath(name)
    if name in {LEDGER, "mesh.yaml"}:
        return name
    parts = path.parts
    plain = str(path) == name and not path.is_absolute() and not {"..", "."} & set(parts) and "\\" not in name
    if plain and "\x00" not in name and len(parts) >= 2:
        if parts[0] == "blobs" and len(parts) == 2 and _SHA256.fullmatch(parts[1]):
            return name
        if parts[0] in FOLDERS:
            return name
    raise _changed(f"{name!r} is no name of a file in a backup")


def _write(content: IO[bytes], target: Path, mode: int) -> Entry:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(target, flags, 0o700 if mode & 0o100 else 0o600), "wb") as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return Entry(sha256=digest.hexdigest(), size=size)


def _manifest(data: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _changed("its manifest cannot be read, or is of a newer concilium") from error
    if manifest.format != FORMAT:
        raise _changed(f"its format is {manifest.format}, and this program reads {FORMAT}")
    return manifest


def _compare(found: dict[str, Entry], manifest: Manifest) -> None:
    for name in sorted(found.keys() | manifest.files.keys()):
        if found.get(name) != manifest.files.get(name):
            raise _changed(f"{name!r} is not what its manifest says")
    for name, entry in found.items():
        if name.startswith("blobs/") and name != f"blobs/{entry.sha256}":
            raise _changed(f"{name!r} is not what its name says")
    absent = [sha for sha in manifest.blobs if f"blobs/{sha}" not in found and sha not in manifest.missing]
    if LEDGER not in found or absent:
        raise _changed("files that its ledger names are not in it")


def _changed(why: str) -> CliError:
    return CliError(f"the backup was damaged or changed: {why}", "nothing was restored; take another backup")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
