"""Adapters on their way to another machine: one tar of plain files ``<digest>/<name>``.

The digests are the hashes: each names a manifest that lists the hashes of all other files. Reading takes headers of
512 bytes and bodies of bounded size, nothing else, so that no extension header, link or path is ever interpreted.
"""

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from concilium.adapters.bundle import LIMITS
from concilium.adapters.folder import opened
from concilium.adapters.registry.store import AdapterStore
from concilium.contracts.adapters import LISTED, MANIFEST
from concilium.contracts.errors import Invalid

BUNDLES_MAX = 256
RESERVE_BYTES = 256 << 20
"""Free disk that is left."""
_NAME = re.compile(r"(?P<digest>[0-9a-f]{64})/(?P<file>[A-Za-z_.]{1,40})")
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 2**20


class ParcelRefused(Invalid):
    """A file is no parcel of adapters, or a damaged one."""

    type, title = "parcel-refused", "The parcel of adapters is refused"


def write_parcel(store: AdapterStore, digests: Sequence[str], target: Path) -> int:
    """Write adapters into one file, whole or not at all; return its bytes.

    Raises:
        NotFound: one is not in the store.
        BundleRefused: one is damaged there.
        ParcelRefused: there are too many.
    """
    if not 0 < len(digests) <= BUNDLES_MAX:
        raise ParcelRefused(f"a parcel holds 1 to {BUNDLES_MAX} adapters, not {len(digests)}")
    for digest in digests:
        store.open(digest)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as raw:
            # GNU's headers hold every size and our names in one block.
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
                for digest in dict.fromkeys(digests):
                    _add(tar, store.path(digest))
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


@contextmanager
def opened_parcel(source: Path, scratch: Path) -> Iterator[list[Path]]:
    """Give the folders of a parcel's bundles in the order of the parcel; they are gone afterwards.

    Their files are of known names and bounded sizes. Whether they are bundles is for `AdapterStore.put` to say.

    Args:
        source: the parcel.
        scratch: where to make them.

    Raises:
        ParcelRefused: it is damaged, cut off, holds something else, or the disk has no room for it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(scratch).free - source.stat().st_size < RESERVE_BYTES:
        raise ParcelRefused(f"no room on the disk of {scratch} for {source.stat().st_size} bytes; free some space")
    made = Path(tempfile.mkdtemp(prefix=".parcel.", dir=scratch))
    try:
        with source.open("rb") as raw:
            yield _unpack(raw, made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _add(tar: tarfile.TarFile, folder: Path) -> None:
    for name in (MANIFEST, *LISTED):
        with opened(folder, name, LIMITS[name]) as file, os.fdopen(os.dup(file.descriptor), "rb") as content:
            info = tarfile.TarInfo(f"{folder.name}/{name}")
            info.size, info.mode = file.size, 0o444
            tar.addfile(info, content)


def _unpack(raw: BinaryIO, made: Path) -> list[Path]:
    folders: dict[str, Path] = {}
    while (info := _header(raw)) is not None:
        found = _NAME.fullmatch(info.name)
        if found is None or found["file"] not in LIMITS:
            raise ParcelRefused(f"{info.name[:100]!r} is no file of an adapter")
        if not info.type == tarfile.REGTYPE:
            raise ParcelRefused(f"{info.name[:100]!r} is a link, a folder or a device")
        if not 0 <= info.size <= LIMITS[found["file"]]:
            raise ParcelRefused(f"{info.name!r} has {info.size} bytes, {LIMITS[found['file']]} at most are taken")
        folder = folders.setdefault(found["digest"], made / found["digest"])
        if len(folders) > BUNDLES_MAX:
            raise ParcelRefused(f"it holds more than {BUNDLES_MAX} adapters")
        folder.mkdir(exist_ok=True)
        _body(raw, folder / found["file"], info.size)
    if not folders:
        raise ParcelRefused("it holds no adapter")
    return list(folders.values())


def _header(raw: BinaryIO) -> tarfile.TarInfo | None:
    """Return the next member's header, None at the end of the archive."""
    block = raw.read(_BLOCK)
    try:
        return tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        return None
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise ParcelRefused(f"it is damaged or cut off ({type(error).__name__}); export it again") from error


def _body(raw: BinaryIO, target: Path, size: int) -> None:
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise ParcelRefused(f"{target.parent.name}/{target.name} is in it twice") from error
    left = size
    with os.fdopen(handle, "wb") as file:
        while left and (chunk := raw.read(min(_CHUNK, left))):
            file.write(chunk)
            left -= len(chunk)
    if left or len(raw.read(-size % _BLOCK)) != -size % _BLOCK:
        raise ParcelRefused("it is cut off; export it again")
