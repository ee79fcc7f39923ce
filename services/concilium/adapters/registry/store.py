"""The store of adapters: ``<digest>/`` for each, written whole or not at all, read-only from then on.

Engines see this folder, mounted read-only, at one path: an adapter's place in it never holds other bytes.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import LIMITS, TEXT_BYTES, Bundle, open_bundle
from concilium.adapters.folder import opened, read, scan
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.adapters.writing import new_folder
from concilium.contracts.adapters import LISTED, MANIFEST, WEIGHTS, digest_of
from concilium.contracts.errors import NotFound

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 2**22


class AdapterStore:
    """A folder of bundles, each under its digest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, source: Path, base: BaseModelFacts | None = None) -> Bundle:
        """Copy a bundle into the store, checked as it lies there; one that is there already stays.

        Args:
            source: its folder.
            base: the model it is to serve on; None: its base is not checked.

        Raises:
            BundleRefused: something about it is wrong; its code says what.
        """
        scan(source, LIMITS, frozenset({*LISTED, MANIFEST}))
        digest = digest_of(read(source, MANIFEST, TEXT_BYTES))
        target = self.folder / digest
        if target.is_dir():
            try:
                return open_bundle(target, base)
            except BundleRefused as error:
                if error.code in {Refusal.BASE_MISMATCH, Refusal.SHAPE_MISMATCH, Refusal.UNKNOWN_MODULE}:
                    raise
                self.remove(digest)  # damaged where it lay: the new copy takes its place
        with new_folder(target) as folder:
            for name in (*LISTED, MANIFEST):
                _copy(source, folder, name)
            bundle = open_bundle(folder, base)
            if bundle.digest != digest:
                raise BundleRefused(Refusal.CHANGED, f"{MANIFEST} was changed while it was copied", file=MANIFEST)
        target.chmod(0o555)
        _sync(self.folder)
        return replace(bundle, folder=target)

    def open(self, digest: str, base: BaseModelFacts | None = None) -> Bundle:
        """Return a bundle, checked again. Raises `NotFound`, `BundleRefused` when it is damaged."""
        bundle = open_bundle(self.path(digest), base)
        if bundle.digest != digest:
            raise BundleRefused(Refusal.CHANGED, f"what lies under {digest[:12]} is {bundle.digest[:12]}")
        return bundle

    def path(self, digest: str) -> Path:
        """Return the folder of a bundle. Raises `NotFound`."""
        path = self.folder / digest
        if not _DIGEST.fullmatch(digest) or not path.is_dir():
            raise NotFound(f"adapter {digest[:12]} is not in the store {self.folder}; import it again")
        return path

    def digests(self) -> list[str]:
        """Return what is there, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if _DIGEST.fullmatch(path.name))

    def remove(self, digest: str) -> int:
        """Remove a bundle; return the bytes that are free now. It is gone from its place before its files are."""
        path = self.path(digest)
        size = size_of(path)
        path.chmod(0o755)
        gone = Path(tempfile.mkdtemp(prefix=".gone.", dir=self.folder))
        path.rename(gone / digest)
        _sync(self.folder)
        shutil.rmtree(gone)
        return size

    def tidy(self) -> None:
        """Remove what a process left half written or half removed. Only while `held`."""
        if self.folder.is_dir():
            for path in self.folder.glob(".*.*"):
                shutil.rmtree(path, ignore_errors=True)

    def warm(self, digest: str) -> None:
        """Ask the system to read an adapter's weights into memory. Raises `NotFound`."""
        with opened(self.path(digest), WEIGHTS, LIMITS[WEIGHTS]) as file:
            os.posix_fadvise(file.descriptor, 0, file.size, os.POSIX_FADV_WILLNEED)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from adding and removing."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _copy(source: Path, folder: Path, name: str) -> None:
    with opened(source, name, LIMITS[name]) as file, (folder / name).open("xb") as copy:
        for offset in range(0, file.size, _CHUNK):
            copy.write(file.read(offset, min(_CHUNK, file.size - offset)))
    (folder / name).chmod(0o444)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
