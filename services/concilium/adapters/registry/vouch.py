"""What the index that this home trusts says of the adapters in its store."""

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from concilium.adapters import trust
from concilium.adapters.trust import TrustState, VerifiedAdapter
from concilium.contracts.adapter_life import AdapterRecord


class Vouch:
    """Asks the index. Its methods read files: call them in a thread."""

    def __init__(self, state: TrustState, now: Callable[[], datetime], models: Collection[str]) -> None:
        """Ask what a home believes.

        Args:
            state: where that is.
            now: the ledger's clock, by which an index runs out.
            models: what the mesh calls its base models: no adapter is called that.
        """
        self._state = state
        self._now = now
        self._models = models

    def prove(self, folder: Path) -> VerifiedAdapter:
        """Return the proof that a bundle is one that the index names, byte for byte. Raises `TrustRefused`.

        A restricted one is proven too: who may use it is decided where it is asked for.
        """
        return trust.verify(self._state, folder, self._now(), models=self._models, allow_restricted=True)

    def check(self, record: AdapterRecord) -> None:
        """Look whether the index still names a version that was proven before, without reading its files.

        Raises:
            TrustRefused: it was revoked, or the index has run out.
        """
        reference = trust.Reference(record.id, record.version)
        trust.check_named(self._state, reference, record.digest, self._now())
