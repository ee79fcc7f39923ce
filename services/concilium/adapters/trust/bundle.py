"""The files of a bundle, compared with its manifest, each read once and never through a link."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from concilium.adapters.trust.files import open_plain, read_bounded
from concilium.adapters.trust.manifest import Listed, Manifest, check_report, read_manifest
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.targets import MANIFEST_BYTES
from concilium.contracts.adapters import MANIFEST, REPORT

_CHUNK = 1024 * 1024


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Open a bundle's folder, which must not be a link. Raises `TrustRefused` (`UNSAFE_FILE`)."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise TrustRefused(Code.UNSAFE_FILE, f"{folder} is no folder: {error.strerror}") from error
    try:
        yield handle
    finally:
        os.close(handle)


def manifest_of(folder: int) -> Manifest:
    """Read the manifest of an open bundle. Raises `TrustRefused`."""
    with _opened(folder, MANIFEST) as handle:
        return read_manifest(read_bounded(handle, MANIFEST_BYTES, MANIFEST))


def check_files(folder: int, manifest: Manifest) -> None:
    """Check that an open bundle holds the listed files, byte for byte, and nothing else.

    Raises:
        TrustRefused: `UNLISTED_FILE`, `MISSING_FILE`, `UNSAFE_FILE`, `FILE_MISMATCH`, `REPORT_MISSING`.
    """
    extra = sorted(set(os.listdir(folder)) - {MANIFEST, *manifest.files})
    if extra:
        raise TrustRefused(Code.UNLISTED_FILE, f"the bundle holds {extra[0]!a}, which its manifest does not list")
    for name, listed in manifest.files.items():
        if name == REPORT:
            check_report(manifest, _report(folder, listed))
        else:
            _check_file(folder, name, listed)


def _check_file(folder: int, name: str, listed: Listed) -> None:
    with _opened(folder, name) as handle:
        if os.fstat(handle).st_size != listed.bytes or _digest(handle, listed.bytes) != listed.sha256:
            raise TrustRefused(Code.FILE_MISMATCH, f"{name} is not the file that the manifest lists")


def _report(folder: int, listed: Listed) -> bytes:
    with _opened(folder, REPORT) as handle:
        raw = read_bounded(handle, MANIFEST_BYTES, REPORT)
    if (len(raw), sha256(raw).hexdigest()) != (listed.bytes, listed.sha256):
        raise TrustRefused(Code.FILE_MISMATCH, f"{REPORT} is not the file that the manifest lists")
    return raw


def _digest(handle: int, size: int) -> str:
    found, left = sha256(), size
    while chunk := os.read(handle, min(left, _CHUNK)):
        found.update(chunk)
        left -= len(chunk)
    return found.hexdigest()


@contextmanager
def _opened(folder: int, name: str) -> Iterator[int]:
    try:
        handle = open_plain(name, Code.UNSAFE_FILE, folder)
    except FileNotFoundError as error:
        raise TrustRefused(Code.MISSING_FILE, f"the bundle has no {name}") from error
    try:
        yield handle
    finally:
        os.close(handle)
