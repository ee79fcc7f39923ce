"""All replicas brought to what the ledger says, again and again: after a publish, a restart, a lost call."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from concilium.adapters.canary.share import alias_for
from concilium.adapters.place.state import Item
from concilium.adapters.place.why import Placed
from concilium.adapters.reconcile.admin import EngineAdmin
from concilium.adapters.reconcile.inflight import InFlight
from concilium.adapters.reconcile.keeper import Keeper, Wanted
from concilium.adapters.registry.registry import Registry
from concilium.contracts.adapter_life import LOADABLE, AdapterRecord, Line, ReplicaState
from concilium.contracts.adapter_terms import AdapterTerms
from concilium.contracts.adapters import Alias, Reference
from concilium.contracts.base import new_id
from concilium.contracts.errors import ConciliumError, Conflict, NotFound, Unavailable

_log = logging.getLogger(__name__)
EVERY_S = 2.0
"""Between rounds when nobody asks for one."""
HOLD_S = 20.0
"""How long a process that vanished still counts as the one that keeps the engines."""
ASKED_S = 600.0
"""A version that a request named, and that no alias leads to, may stay loaded for this long after."""


@dataclass(frozen=True)
class Route:
    """Where a request for an adapter goes.

    Attributes:
        record: the version.
        replicas: the names of those that serve it, proven.
        line: as it was when the version was chosen; None: the request named the version itself.
    """

    record: AdapterRecord
    replicas: tuple[str, ...]
    line: Line | None


class Reconciler:
    """Keeps every replica; used from one event loop."""

    def __init__(self, registry: Registry, terms: AdapterTerms, session: aiohttp.ClientSession) -> None:
        self.in_flight = InFlight()
        self.keepers = {
            name: Keeper(
                name,
                replica,
                EngineAdmin(session, replica),
                store=registry.store,
                vouch=registry.vouch,
                ledger=registry.ledger,
                in_flight=self.in_flight,
                drain_s=terms.drain_s,
            )
            for name, replica in terms.replicas.items()
        }
        self._registry = registry
        self._terms = terms
        self._asked: dict[str, float] = {}
        self._published: frozenset[str] | None = None
        self._wanted = Wanted({}, {})
        self._nudged = asyncio.Event()
        self._holder = new_id("keeper")
        self._holds = True

    async def run(self) -> None:
        """Do rounds until cancelled, while this is the process that may; else follow the one that does."""
        holding = asyncio.create_task(self._hold())
        try:
            await self._rounds()
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            await self._registry.ledger.release_engines(self._holder)

    async def _hold(self) -> None:
        while True:
            try:
                self._holds = await self._registry.ledger.hold_engines(self._holder, HOLD_S)
            except ConciliumError:
                self._holds = False
            await asyncio.sleep(HOLD_S / 4)

    async def _rounds(self) -> None:
        self._holds = await self._registry.ledger.hold_engines(self._holder, HOLD_S)
        if self._holds:
            await self.forget_strangers()
        while True:
            self._nudged.clear()
            try:
                await (self.round() if self._holds else self.follow())
            except ConciliumError:
                _log.exception("a round of the reconciler failed; the next one looks again")
            try:
                async with asyncio.timeout(EVERY_S * random.uniform(0.9, 1.1)):  # noqa: S311 - spread, not secret
                    await self._nudged.wait()
            except TimeoutError:
                continue

    def nudge(self) -> None:
        """Do the next round at once: something was published, rolled back or retired."""
        self._nudged.set()

    async def round(self) -> None:
        """Bring every replica one round closer to what the ledger says. Raises `Unavailable`."""
        wanted = await self._look()
        await asyncio.gather(*(keeper.round(wanted) for keeper in self.keepers.values()))

    async def follow(self) -> None:
        """Take over what the process that keeps the engines has proven. Raises `Unavailable`."""
        await self._look()
        found = await self._registry.ledger.adapter_replicas()
        for name, keeper in self.keepers.items():
            live = (one.digest for one in found if one.replica == name and one.state is ReplicaState.LIVE)
            keeper.mirror(frozenset(live))

    async def forget_strangers(self) -> None:
        """Drop what is stored of replicas that are configured no longer: their files need not stay."""
        for name in {found.replica for found in await self._registry.ledger.adapter_replicas()} - self.keepers.keys():
            await self._registry.ledger.forget_replica(name)

    async def route(self, reference: Reference, context: str) -> Route:
        """Return where a request for an adapter goes, loading it where nobody serves it.

        Args:
            reference: what the caller named.
            context: the conversation or user, which gets a canary or does not.

        Raises:
            NotFound: there is no such version.
            Conflict: it is not one that engines may load.
            Unavailable: no replica serves it now.
        """
        if not isinstance(reference.at, Alias):
            return await self._reach(await self._registry.ledger.find_adapter(reference), None)
        line = await self._registry.line(reference.id)
        alias = alias_for(line, context) if reference.at is Alias.LIVE else reference.at
        digest = line.alias(alias)
        if digest is None:
            raise NotFound(f"'{reference}' leads nowhere: no version of '{line.id}' is {alias.value} now")
        try:
            return await self._reach(await self._record(digest), line)
        except Unavailable:
            other = self._instead(line, alias) if reference.at is Alias.LIVE else None
            if other is None:
                raise
        return await self._reach(await self._record(other), line)

    def _instead(self, line: Line, alias: Alias) -> str | None:
        """Return what serves while nobody serves a canary, or what was published just now."""
        if alias is Alias.CANARY:
            return line.live
        return line.previous if line.previous and self._serving(line.previous) else None

    async def why(self, reference: Reference) -> dict[str, Placed]:
        """Return, for each replica, where a version is and what keeps it there. Raises `NotFound`."""
        record = await self._registry.ledger.find_adapter(reference)
        return {name: keeper.why(record) for name, keeper in self.keepers.items()}

    async def _record(self, digest: str) -> AdapterRecord:
        known = self._wanted.records.get(digest)
        return known if known is not None else await self._registry.ledger.get_adapter(digest)

    async def _reach(self, record: AdapterRecord, line: Line | None) -> Route:
        if line is None:
            if record.state not in LOADABLE:
                raise Conflict(f"'{record.reference}' is {record.state.value}: no engine may load it")
            self._asked[record.digest] = time.monotonic()
        item = self._item(record)
        serving = self._serving(record.digest)
        if serving:
            for keeper in serving if self._holds else ():
                await keeper.need(item, record, self._wanted)
        elif not self._holds:
            detail = f"'{record.reference}' is not loaded, and another process of the control plane keeps the engines"
            raise Unavailable(detail, retry_after_s=2)
        else:
            await self._load_somewhere(item, record)
            serving = self._serving(record.digest)
        return Route(record, tuple(keeper.name for keeper in serving), line)

    async def _load_somewhere(self, item: Item, record: AdapterRecord) -> None:
        """Load on the replica with the fewest requests under way, or on the next one. Raises `Unavailable`."""
        order = sorted(self.keepers.values(), key=lambda each: (len(self.in_flight.busy(each.name)), each.name))
        refused: list[str] = []
        for keeper in order:
            try:
                await keeper.need(item, record, self._wanted)
            except Unavailable as error:
                refused.append(error.detail)
            else:
                return
        detail = "; ".join(refused) or "no engine is configured in adapters.yaml"
        raise Unavailable(f"'{record.reference}' is served nowhere now: {detail}", retry_after_s=2)

    def _serving(self, digest: str) -> Sequence[Keeper]:
        return [keeper for keeper in self.keepers.values() if keeper.serves(digest)]

    def _everywhere(self, digest: str | None) -> bool:
        return digest is None or all(keeper.serves(digest) for keeper in self.keepers.values())

    def _item(self, record: AdapterRecord) -> Item:
        keep = self._terms.keep(record.id)
        name = str(record.reference)
        return Item(record.digest, name, record.bytes, keep.tier, pin=keep.pin, priority=keep.priority)

    async def _look(self) -> Wanted:
        """Return what replicas should have, by what is stored now."""
        lines = await self._registry.ledger.adapter_lines()
        records = {record.digest: record for record in await self._registry.ledger.list_adapters()}
        aliased = {digest for line in lines for alias in Alias if (digest := line.alias(alias))}
        # What was live stays until what is live now is proven everywhere.
        before = {line.previous for line in lines if line.previous and not self._everywhere(line.live)}
        since = time.monotonic() - ASKED_S
        self._asked = {digest: moment for digest, moment in self._asked.items() if moment >= since}
        items = {
            digest: self._item(records[digest])
            for digest in aliased | before | self._asked.keys()
            if digest in records and records[digest].state in LOADABLE
        }
        fresh = frozenset() if self._published is None else frozenset(aliased - self._published)
        self._published = frozenset(aliased)
        self._wanted = Wanted(items, records, fresh)
        return self._wanted
