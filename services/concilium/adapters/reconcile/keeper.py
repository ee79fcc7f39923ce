"""One replica brought to what it should serve, and kept there."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from concilium.adapters.place import planner
from concilium.adapters.place.state import Budget, Item, Move, Replica
from concilium.adapters.place.why import Placed, why
from concilium.adapters.reconcile.admin import AdminError, EngineAdmin
from concilium.adapters.reconcile.inflight import InFlight
from concilium.adapters.reconcile.probe import prove
from concilium.adapters.registry.store import AdapterStore
from concilium.adapters.registry.vouch import Vouch
from concilium.adapters.trust import VerifiedAdapter
from concilium.contracts.adapter_life import AdapterRecord, OnReplica, ReplicaState
from concilium.contracts.adapter_terms import ReplicaTerms
from concilium.contracts.adapters import Probe
from concilium.contracts.errors import ConciliumError, Conflict, Unavailable
from concilium.ledger import Ledger

_log = logging.getLogger(__name__)
PROVE_AGAIN_S = 60.0
"""How long a proof is good for, before it is asked for anew."""
STALE_S = 300.0
"""How long it stands when an engine has too much to do to prove itself anew."""
RETRY_S, RETRY_MAX_S = 1.0, 60.0
"""After a failure, and twice as long after each further one."""
_MARK = "@"
"""In every served name of ours, and in no base model's."""


@dataclass(frozen=True)
class Wanted:
    """What may be on a replica now, by digest."""

    items: Mapping[str, Item]
    records: Mapping[str, AdapterRecord]
    fresh: frozenset[str] = frozenset()
    """Published since the last round: loaded at once."""


class Keeper:
    """Keeps one replica."""

    def __init__(
        self,
        name: str,
        terms: ReplicaTerms,
        admin: EngineAdmin,
        *,
        store: AdapterStore,
        vouch: Vouch,
        ledger: Ledger,
        in_flight: InFlight,
        drain_s: float,
    ) -> None:
        self.name = name
        self.terms = terms
        self.state = Replica(Budget(terms.slots, terms.gpu_bytes, terms.ram_bytes))
        self._admin = admin
        self._store = store
        self._vouch = vouch
        self._ledger = ledger
        self._in_flight = in_flight
        self._drain_s = drain_s
        self._proven: dict[str, float] = {}
        self._failed: dict[str, tuple[int, float]] = {}
        self._probes: dict[str, Probe] = {}
        self._seen = False
        self._one = asyncio.Lock()

    def serves(self, digest: str) -> bool:
        """Whether a probe proved that the replica serves an adapter."""
        return digest in self._proven

    def busy(self, records: Mapping[str, AdapterRecord]) -> frozenset[str]:
        """Return what has requests under way, by digest."""
        served = self._in_flight.busy(self.name)
        return frozenset(digest for digest, record in records.items() if record.served_name in served)

    def why(self, record: AdapterRecord) -> Placed:
        """Return where an adapter is on the replica and what keeps it there."""
        served = self._in_flight.busy(self.name)
        return why(self.state, record.digest, {record.digest} if record.served_name in served else ())

    def mirror(self, live: frozenset[str]) -> None:
        """Take over what another process, which keeps the replica, has proven; what is here is met anew after that."""
        self._seen = False
        self._proven = dict.fromkeys(live, time.monotonic())

    async def round(self, wanted: Wanted) -> None:
        """Compare what should be served with what is, and mend the difference. Never raises for an engine's fault."""
        async with self._one:
            try:
                present = await self._present(wanted.records)
            except AdminError as error:
                await self._away(str(error))
                return
            await self._plan(wanted, present)
            await self._apply(wanted.records, present)

    async def need(self, item: Item, record: AdapterRecord, wanted: Wanted) -> None:
        """Load an adapter that a request asks for, unless it is there.

        Raises:
            Unavailable: there is no room, or the replica does not serve it after all.
        """
        if item.digest in self._proven:
            self.state = planner.use(self.state, item).state
            return
        async with self._one:
            if item.digest in self._proven:
                return
            plan = planner.use(self.state, item, self.busy(wanted.records))
            if plan.refused:
                raise Unavailable(f"{self.name}: {plan.refused}", retry_after_s=1)
            self._take(plan.state, plan.moves)
            records = {**wanted.records, item.digest: record}
            try:
                await self._apply(records, await self._present(records))
            except AdminError as error:
                await self._away(str(error))
            if item.digest not in self._proven:
                raise Unavailable(f"{self.name} does not serve '{record.reference}' now", retry_after_s=2)

    async def _present(self, records: Mapping[str, AdapterRecord]) -> dict[str, str]:
        """Return our adapters that the engine lists: served name to digest, empty for one that nobody knows."""
        by_name = {record.served_name: digest for digest, record in records.items()}
        return {
            name: by_name.get(name, "")
            for name in await self._admin.models()
            if _MARK in name and name != self.terms.model
        }

    async def _plan(self, wanted: Wanted, present: Mapping[str, str]) -> None:
        if not self._seen:
            self._seen = True
            found = [wanted.items[digest] for digest in present.values() if digest in wanted.items]
            self.state = planner.recovered(self.state, found)
        busy = self.busy(wanted.records)
        for digest in sorted(wanted.fresh & wanted.items.keys()):
            plan = planner.use(self.state, wanted.items[digest], busy)
            self._take(plan.state, plan.moves)
        plan = planner.settle(self.state, wanted.items, busy)
        self._take(plan.state, plan.moves)
        for move in plan.moves:
            if move.action == "warm":
                await self._warm(move.digest)

    async def _warm(self, digest: str) -> None:
        """Have files read into memory; what cannot be read shows when it is to be loaded."""
        try:
            await asyncio.to_thread(self._store.warm, digest)
        except (ConciliumError, OSError) as error:
            _log.warning("files cannot be read", extra={"digest": digest, "reason": str(error)})

    def _take(self, state: Replica, moves: tuple[Move, ...]) -> None:
        self.state = state
        for move in moves:
            _log.info("placement", extra={"replica": self.name, "move": move.action, "why": move.why})

    async def _apply(self, records: Mapping[str, AdapterRecord], present: Mapping[str, str]) -> None:
        for digest in [digest for digest in self._proven if digest not in present.values()]:
            del self._proven[digest]  # the engine was restarted, or somebody else unloaded it
        for served, digest in present.items():
            if digest not in self.state.loaded:
                await self._unload(served, digest)
        missing = [digest for digest in self.state.loaded if digest in records]
        await asyncio.gather(*(self._bring(records[digest], present) for digest in missing))

    async def _bring(self, record: AdapterRecord, present: Mapping[str, str]) -> None:
        """Load and prove an adapter, unless that was done, or failed just now."""
        digest, now = record.digest, time.monotonic()
        there = digest in present.values()
        if there and now - self._proven.get(digest, float("-inf")) < PROVE_AGAIN_S:
            return
        if self._failed.get(digest, (0, 0.0))[1] > now:
            return
        try:
            if digest not in self._proven:
                await self._ledger.begin_load(self.name, digest)
            if there and digest in self._probes:
                await asyncio.to_thread(self._vouch.check, record)
            else:
                proven = await self._proof(digest)
                if not there:
                    await self._load(record, proven)
            await self._prove(record, self._probes[digest])
        except (AdminError, ConciliumError, OSError) as error:
            await self._fail(record, str(error))

    async def _proof(self, digest: str) -> VerifiedAdapter:
        """Return what an engine is told of, and note its probe: all of the bundle is checked before, and trusted."""
        bundle = await asyncio.to_thread(self._store.open, digest)
        if bundle.report.probe is None:
            raise Conflict("its report has no probe, so nothing would show that it is served")
        proven = await asyncio.to_thread(self._vouch.prove, bundle.folder)
        self._probes[digest] = bundle.report.probe
        return proven

    async def _load(self, record: AdapterRecord, proven: VerifiedAdapter) -> None:
        self._in_flight.opened(self.name, record.served_name)
        try:
            await self._admin.load(record.served_name, proven)
        except AdminError:
            # The answer may have been lost, or another publisher was first: what counts is what is there.
            if record.served_name not in await self._admin.models():
                raise

    async def _prove(self, record: AdapterRecord, probe: Probe) -> None:
        found = await prove(self._admin, record.served_name, self.terms.model, probe)
        if found.busy and time.monotonic() - self._proven.get(record.digest, float("-inf")) < STALE_S:
            return  # it has too much to do: what was proven stands, and is asked about again
        if not found.holds:
            await self._fail(record, found.detail)
            return
        first = record.digest not in self._proven
        self._in_flight.opened(self.name, record.served_name)
        self._proven[record.digest] = time.monotonic()
        self._failed.pop(record.digest, None)
        if first:
            await self._report(record.digest, ReplicaState.LIVE, found.detail)

    async def _fail(self, record: AdapterRecord, detail: str) -> None:
        """Take what could not be proven out of service, and try again later."""
        self._proven.pop(record.digest, None)
        times = self._failed.get(record.digest, (0, 0.0))[0] + 1
        wait_s = min(RETRY_MAX_S, RETRY_S * 2.0 ** min(times - 1, 16))
        self._failed[record.digest] = times, time.monotonic() + wait_s
        _log.warning("adapter is not served", extra={"replica": self.name, "adapter": str(record.reference)})
        await self._report(record.digest, ReplicaState.FAILED, detail[:500])
        try:
            await self._admin.unload(record.served_name)
        except AdminError:
            _log.info("unload failed; the next round looks again", extra={"replica": self.name})

    async def _unload(self, served: str, digest: str) -> None:
        """Unload an adapter once what began with it has ended, or the limit is reached."""
        self._proven.pop(digest, None)
        if digest:
            await self._report(digest, ReplicaState.DRAINING, "")
        if not await self._in_flight.drained(self.name, served, self._drain_s):
            _log.warning("unloaded with requests under way", extra={"replica": self.name, "adapter": served})
        try:
            await self._admin.unload(served)
        except AdminError:
            _log.info("unload failed; the next round tries again", extra={"replica": self.name})
            return
        if digest:
            self._failed.pop(digest, None)
            self._probes.pop(digest, None)
            await self._ledger.unloaded(self.name, digest)

    async def _away(self, detail: str) -> None:
        """Note that the engine cannot be asked: nothing is proven any more."""
        for digest in list(self._proven):
            del self._proven[digest]
            await self._report(digest, ReplicaState.FAILED, detail[:500])

    async def _report(self, digest: str, state: ReplicaState, detail: str) -> None:
        await self._ledger.report_replica(OnReplica(replica=self.name, digest=digest, state=state, detail=detail))
