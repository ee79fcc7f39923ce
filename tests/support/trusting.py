"""A home whose owner signs what a test packs, and takes his word back."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from concilium.adapters.registry.vouch import Vouch
from concilium.adapters.trust import Reference, Target, TrustState, author, update
from concilium.adapters.trust.bundle import manifest_of, opened
from concilium.adapters.trust.keys import make_key
from concilium.contracts.adapter_life import AdapterRecord

MODELS = ("Qwen/Qwen3-30B",)


class Owner:
    """Signs an index, which names nothing at first."""

    def __init__(self, folder: Path) -> None:
        self.ahead = timedelta()
        """How far the clock is ahead by which the index is judged."""
        self._state = TrustState(folder)
        self._signers = author.Signers(make_key(), make_key())
        now = datetime.now(UTC)
        root = author.first_root([make_key()], 1, self._signers.index, self._signers.freshness, now)
        with self._state.changing():
            self._believe(update.begin(root, now), ())

    @property
    def vouch(self) -> Vouch:
        """What this home says of adapters."""
        return Vouch(self._state, lambda: datetime.now(UTC) + self.ahead, MODELS)

    def sign(self, bundle: Path) -> None:
        """Name a bundle in the index."""
        with opened(bundle) as handle:
            self._publish(manifest_of(handle).target)

    def revoke(self, record: AdapterRecord, why: str) -> None:
        """Take the word for a version back."""
        entry = self._entries[Reference(record.id, record.version)]
        self._publish(replace(entry, revoked=why))

    @property
    def _entries(self) -> dict[Reference, Target]:
        index = self._state.load().index
        return {} if index is None else dict(index.entries)

    def _publish(self, target: Target) -> None:
        with self._state.changing():
            self._believe(self._state.load(), (self._entries | {target.reference: target}).values())

    def _believe(self, trusted: update.Trusted, entries: Iterable[Target]) -> None:
        now = datetime.now(UTC)
        offered = author.publish(trusted, trusted.index, entries, self._signers, now)
        self._state.store(update.accept(trusted, update.assemble(trusted.root, offered), now))
