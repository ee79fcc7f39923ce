"""The registry: what comes in, who serves, what is removed. Files in the store, life in the ledger."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle
from concilium.adapters.registry.parcel import ParcelRefused, opened_parcel, write_parcel
from concilium.adapters.registry.store import AdapterStore, size_of
from concilium.adapters.registry.vouch import Vouch
from concilium.contracts.adapter_life import AdapterRecord, CanaryTerms, Counts, Judgement, Line, Proof
from concilium.contracts.adapters import AdapterState, Alias, Reference
from concilium.contracts.base import Model
from concilium.contracts.errors import Conflict, NotFound
from concilium.ledger import Deed, Ledger
from concilium.ledger.adapter_serving import Judge

FRESH_S = 1.0
"""How old a line may be that was read before: other processes move aliases too. Our own moves are seen at once."""
_CACHED = 4096


class Removed(Model):
    """What garbage collection did."""

    removed: tuple[str, ...]
    """By digest."""
    bytes: int
    kept: dict[str, str]
    """What may not go, with the reason."""


class Registry:
    """Adapters of this mesh."""

    def __init__(self, store: AdapterStore, ledger: Ledger, vouch: Vouch, base: BaseModelFacts | None = None) -> None:
        """Use a store and a ledger.

        Args:
            store: the files.
            ledger: the rest.
            vouch: says which of them are trusted.
            base: the model that adapters must fit; None: that is not checked here.
        """
        self.store = store
        self.ledger = ledger
        self.vouch = vouch
        self._base = base
        self._lines: dict[str, tuple[float, Line]] = {}
        self._one = asyncio.Lock()

    async def bring(self, source: Path, deed: Deed) -> AdapterRecord:
        """Take a bundle in as a candidate. Raises `BundleRefused`, `Conflict` for a version of other bytes."""
        async with self._held():
            return await self._bring(source, deed)

    async def unpack(self, parcel: Path, deed: Deed) -> list[AdapterRecord]:
        """Take all adapters of a parcel in as candidates; what was taken in before one that is refused stays.

        Raises:
            ParcelRefused, BundleRefused: it is damaged, or one of them is no bundle.
            Conflict: the version of one is that of other bytes.
        """
        async with self._held():
            # Opened in a thread of its own: unpacking writes as many bytes as the parcel has.
            opening = opened_parcel(parcel, self.store.folder)
            folders = await asyncio.to_thread(opening.__enter__)
            try:
                return [await self._named(folder, deed) for folder in folders]
            finally:
                await asyncio.to_thread(opening.__exit__, None, None, None)

    async def pack(self, digests: Sequence[str], target: Path) -> int:
        """Write adapters and all they were made from, as far as it is here, into a parcel; return its bytes."""
        known = {record.digest: record for record in await self.ledger.list_adapters()}
        wanted: dict[str, None] = {}
        todo = list(reversed(digests))
        while todo:
            digest = todo.pop()
            if digest not in wanted:
                wanted[digest] = None
                todo += [parent for parent in known[digest].parents if parent in known] if digest in known else []
        return await asyncio.to_thread(write_parcel, self.store, list(wanted), target)

    async def verify(self, digest: str, deed: Deed) -> AdapterRecord:
        """Let engines load a candidate that the trusted index names and whose files are checked once more.

        Raises:
            TrustRefused, BundleRefused: its code says which check said no.
            NotFound, IllegalTransition, Conflict: as `Ledger.verify_adapter`.
        """
        bundle = await asyncio.to_thread(self.store.open, digest, self._base)
        proven = await asyncio.to_thread(self.vouch.prove, bundle.folder)
        proof = Proof(digest=proven.digest, by=f"index {proven.index_version}")
        return await self.ledger.verify_adapter(digest, proof, deed)

    async def promote(self, digest: str, generation: int, deed: Deed) -> Line:
        """Make a version live. Raises as `Ledger.promote_adapter`."""
        return self._moved(await self.ledger.promote_adapter(digest, generation, deed))

    async def start_canary(self, digest: str, generation: int, terms: CanaryTerms, deed: Deed) -> Line:
        """Give a version a share of the traffic. Raises as `Ledger.start_canary`."""
        return self._moved(await self.ledger.start_canary(digest, generation, terms, deed))

    async def rollback(self, adapter: str, deed: Deed) -> Line:
        """End the canary, or else return to what was live before. Raises as `Ledger.rollback_adapter`."""
        return self._moved(await self.ledger.rollback_adapter(adapter, deed))

    async def observe(self, adapter: str, generation: int, more: Counts, judge: Judge) -> Judgement | None:
        """Add what was seen of a canary; a regression rolls it back. Raises `NotFound`."""
        line, found = await self.ledger.observe_canary(adapter, generation, more, judge)
        self._moved(line)
        return found

    async def retire(self, digest: str, deed: Deed) -> AdapterRecord:
        """Take a version out of service for good. Raises as `Ledger.retire_adapter`."""
        record = await self.ledger.retire_adapter(digest, deed)
        self._lines.pop(record.id, None)
        return record

    async def line(self, adapter: str) -> Line:
        """Return which versions of an adapter serve; read at most `FRESH_S` ago. Raises `NotFound`."""
        found = self._lines.get(adapter)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        return self._moved(await self.ledger.adapter_line(adapter))

    async def resolve(self, reference: Reference) -> str:
        """Return what engines call the version that a reference leads to. Raises `NotFound`."""
        if isinstance(reference.at, Alias):
            served = (await self.line(reference.id)).served(reference.at)
            if served is None:
                raise NotFound(f"'{reference}' leads nowhere: no version is {reference.at.value} now")
            return served
        return (await self.ledger.find_adapter(reference)).served_name

    async def gc(self, keep_s: float, deed: Deed) -> Removed:
        """Remove the files of old candidates and retired versions that nobody needs, and what no row knows.

        Args:
            keep_s: how long they are kept after their last change, in seconds.
            deed: who and why.
        """
        async with self._held():
            kept = await self.ledger.kept_adapters()
            records = await self.ledger.list_adapters()
            now = self.ledger.now()
            old = [
                record.digest
                for record in records
                if record.state in {AdapterState.CANDIDATE, AdapterState.RETIRED}
                and (now - record.changed_at).total_seconds() >= keep_s
                and record.digest not in kept
            ]
            gone = [digest for digest in old if await self._note_removed(digest, deed)]
            stays = {record.digest for record in records} - set(gone)
            size, removed = 0, []
            for digest in await asyncio.to_thread(self.store.digests):
                if digest not in stays:
                    size += await asyncio.to_thread(self.store.remove, digest)
                    removed.append(digest)
            await asyncio.to_thread(self.store.tidy)
        return Removed(removed=tuple(removed), bytes=size, kept=kept)

    async def _note_removed(self, digest: str, deed: Deed) -> bool:
        try:
            await self.ledger.remove_adapter(digest, deed)
        except Conflict:  # needed since we looked
            return False
        return True

    async def _named(self, folder: Path, deed: Deed) -> AdapterRecord:
        record = await self._bring(folder, deed)
        if record.digest != folder.name:
            raise ParcelRefused(f"what the parcel calls {folder.name[:12]} is {record.digest[:12]}")
        return record

    async def _bring(self, source: Path, deed: Deed) -> AdapterRecord:
        bundle: Bundle = await asyncio.to_thread(self.store.put, source, self._base)
        size = await asyncio.to_thread(size_of, bundle.folder)
        probed = bundle.report.probe is not None
        return await self.ledger.register_adapter(bundle.manifest, bundle.digest, size, deed, probed=probed)

    def _moved(self, line: Line) -> Line:
        if len(self._lines) >= _CACHED:
            self._lines.clear()
        known = self._lines.get(line.id)
        if known is not None and known[1].generation > line.generation:
            return known[1]  # read before an alias moved, told of after
        self._lines[line.id] = time.monotonic() + FRESH_S, line
        return line

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """Keep imports and removals apart, here and in other processes."""
        async with self._one:
            holding = self.store.held()
            await asyncio.to_thread(holding.__enter__)
            try:
                yield
            finally:
                await asyncio.to_thread(holding.__exit__, None, None, None)
