"""The trusted state of a home: one file, replaced as a whole, so that no crash leaves half of an update.

Its first line is the SHA-256 of the rest. That finds a worn disk, not an attacker: who may write this file may do
anything in this home. The metadata in it is verified again whenever it is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from concilium.adapters.trust import update
from concilium.adapters.trust.encoding import canonical, decode
from concilium.adapters.trust.files import locked, read_own, replace_file
from concilium.adapters.trust.refusals import Code, TrustRefused
from concilium.adapters.trust.update import Offered, Trusted
from concilium.contracts.base import JSON

_LIMIT = 16 * 1024 * 1024
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_MEMBERS = {"format", "index", "roots", "time"}


class TrustState:
    """What a home believes, in ``<home>/trust``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "trusted.json"

    @property
    def exists(self) -> bool:
        """Whether there is anything, be it usable or not."""
        return self._file.is_symlink() or self._file.exists()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold this while loading, changing and storing. It makes the folder."""
        with locked(self.folder / "lock"):
            yield

    def load(self) -> Trusted:
        """Return what is believed.

        Raises:
            TrustRefused: `NOT_INITIALISED`, `STATE_UNSAFE`, `STATE_CORRUPT`.
        """
        try:
            data = read_own(self._file, _LIMIT)
        except FileNotFoundError as error:
            raise TrustRefused(
                Code.NOT_INITIALISED, f"{self.folder} trusts nobody yet; `concilium trust init` or `import`"
            ) from error
        try:
            return _parse(data)
        except (TrustRefused, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrustRefused(
                Code.STATE_CORRUPT, f"{self._file} is damaged ({error}); move it away and import with --fingerprint"
            ) from error

    def store(self, trusted: Trusted) -> None:
        """Believe this from now on; after a crash it is either this or what was believed before."""
        text = canonical(_members(trusted))
        replace_file(self._file, sha256(text).hexdigest().encode() + b"\n" + text)

    def at(self, now: datetime) -> Trusted:
        """Return what is believed, having noted the moment, which no later one may come before."""
        with self.changing():
            trusted = self.load()
            if trusted.index is None:
                return trusted
            seen = update.witness(trusted, trusted.index, now)
            if seen != trusted:
                self.store(seen)
            return seen


def _members(trusted: Trusted) -> dict[str, JSON]:
    files = [document.raw.decode() for document in trusted.index.documents] if trusted.index else []
    return {
        "format": 1,
        "index": files,
        "roots": [root.raw.decode() for root in trusted.roots],
        "time": trusted.time.strftime(_TIME),
    }


def _parse(data: bytes) -> Trusted:
    digest, _, text = data.partition(b"\n")
    if sha256(text).hexdigest().encode() != digest:
        raise ValueError("its checksum is wrong")
    members = decode(text, _LIMIT)
    if set(members) != _MEMBERS or members["format"] != 1:
        raise ValueError("it is of another version")
    moment = datetime.strptime(members["time"], _TIME).replace(tzinfo=UTC)
    first, *others = (root.encode() for root in members["roots"])
    trusted = update.follow(update.begin(first, moment), others)
    if not members["index"]:
        return trusted
    timestamp, snapshot, targets = (file.encode() for file in members["index"])
    return replace(trusted, index=update.assemble(trusted.root, Offered(timestamp, snapshot, targets)))
