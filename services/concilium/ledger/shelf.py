"""The ledger's adapters: one async method per operation."""

from concilium.contracts.adapter_life import (
    AdapterEvent,
    AdapterRecord,
    CanaryTerms,
    Counts,
    Judgement,
    Line,
    OnReplica,
    Proof,
)
from concilium.contracts.adapters import Manifest, Reference
from concilium.ledger import adapter_life as life
from concilium.ledger import adapter_rows as rows
from concilium.ledger import adapter_serving as serving
from concilium.ledger.adapter_life import Deed
from concilium.ledger.adapter_serving import Judge
from concilium.ledger.opening import OpenLedger


class Shelf(OpenLedger):
    """Which versions there are, which serve, who decided so, and where they are loaded."""

    async def register_adapter(
        self, manifest: Manifest, digest: str, size: int, deed: Deed, *, probed: bool
    ) -> AdapterRecord:
        """Make a bundle in the store a candidate. Raises `Conflict` when its version is that of other bytes."""
        return await self._write(life.register, manifest, digest, size, deed, probed=probed)

    async def verify_adapter(self, digest: str, proof: Proof, deed: Deed) -> AdapterRecord:
        """Let engines load a candidate. Raises `NotFound`, `IllegalTransition`, `Conflict`."""
        return await self._write(life.verify, digest, proof, deed)

    async def promote_adapter(self, digest: str, generation: int, deed: Deed) -> Line:
        """Make a version live. Raises `NotFound`, `IllegalTransition`, `Conflict` when the line moved meanwhile."""
        return await self._write(life.promote, digest, generation, deed)

    async def start_canary(self, digest: str, generation: int, terms: CanaryTerms, deed: Deed) -> Line:
        """Give a version a share of the traffic. Raises `NotFound`, `IllegalTransition`, `Conflict`."""
        return await self._write(life.start_canary, digest, generation, terms, deed)

    async def rollback_adapter(self, adapter: str, deed: Deed) -> Line:
        """End the canary, or else return to what was live before. Raises `NotFound`, `Conflict`."""
        return await self._write(life.rollback, adapter, deed)

    async def retire_adapter(self, digest: str, deed: Deed) -> AdapterRecord:
        """Take a version out of service for good. Raises `NotFound`, `IllegalTransition`."""
        return await self._write(life.retire, digest, deed)

    async def pin_adapter(self, digest: str, deed: Deed, *, pinned: bool = True) -> AdapterRecord:
        """Keep a version's files, or no longer. Raises `NotFound`, `Conflict`."""
        return await self._write(life.pin, digest, deed, pinned=pinned)

    async def remove_adapter(self, digest: str, deed: Deed) -> None:
        """Note that a version's files go. Raises `NotFound`, `Conflict` while it is kept."""
        await self._write(life.remove, digest, deed)

    async def get_adapter(self, digest: str) -> AdapterRecord:
        """Return a version. Raises `NotFound`."""
        return await self._look(rows.get, digest)

    async def find_adapter(self, reference: Reference) -> AdapterRecord:
        """Return the version that a reference leads to. Raises `NotFound`."""
        return await self._look(rows.resolve, reference)

    async def adapter_line(self, adapter: str) -> Line:
        """Return which versions of an adapter serve. Raises `NotFound`."""
        return await self._look(rows.line, adapter)

    async def adapter_lines(self) -> list[Line]:
        """Return every adapter's line, by id."""
        return await self._read(rows.list_lines)

    async def list_adapters(self, *, removed: bool = False) -> list[AdapterRecord]:
        """Return every version whose files are there; with ``removed`` the others too."""
        return await self._read(rows.list_all, removed=removed)

    async def kept_adapters(self) -> dict[str, str]:
        """Return every version that garbage collection leaves alone, with the reason."""
        return await self._read(rows.kept)

    async def adapter_events(self, adapter: str, after: int = 0, limit: int = 500) -> list[AdapterEvent]:
        """Return what happened to an adapter, who did it and why. Raises `NotFound`."""
        return await self._read(rows.events, adapter, after, limit)

    async def adapter_replicas(self) -> list[OnReplica]:
        """Return what is, or may be, loaded where."""
        return await self._read(rows.replicas)

    async def begin_load(self, replica: str, digest: str) -> None:
        """Note that an engine will load a version. Raises `NotFound`, `IllegalTransition`, `Conflict`."""
        await self._write(serving.begin_load, replica, digest)

    async def report_replica(self, found: OnReplica) -> None:
        """Note how far a version is on a replica."""
        await self._write(serving.report, found)

    async def unloaded(self, replica: str, digest: str) -> None:
        """Note that a replica no longer has a version."""
        await self._write(serving.unloaded, replica, digest)

    async def forget_replica(self, replica: str) -> None:
        """Note that a replica is no longer there."""
        await self._write(serving.forget_replica, replica)

    async def observe_canary(
        self, adapter: str, generation: int, more: Counts, judge: Judge
    ) -> tuple[Line, Judgement | None]:
        """Add what was seen of a canary; a regression is rolled back in the same transaction. Raises `NotFound`."""
        return await self._write(serving.observe, adapter, generation, more, judge)

    async def hold_engines(self, holder: str, ttl_s: float) -> bool:
        """Take or prolong the right to tell engines what to load; False while another process has it."""
        return await self._write(serving.hold_engines, holder, ttl_s)

    async def release_engines(self, holder: str) -> None:
        """Give that right back."""
        await self._write(serving.release_engines, holder)
