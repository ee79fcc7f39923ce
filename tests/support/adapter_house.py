"""A registry, engines, and what a publisher does with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.reconcile.reconciler import Reconciler
from concilium.adapters.registry.registry import Registry
from concilium.contracts.adapter_life import AdapterRecord, CanaryTerms, ReplicaState
from concilium.contracts.adapter_terms import AdapterTerms
from concilium.ledger import Ledger
from support.adapter_life import DEED, passing_bundle, probe_of
from support.lora_engine import LoraEngine
from support.trusting import Owner


@dataclass
class House:
    """All of it."""

    registry: Registry
    owner: Owner
    ledger: Ledger
    engines: dict[str, LoraEngine]
    session: aiohttp.ClientSession
    base: BaseModelFacts
    folder: Path
    made: int = 0

    def reconciler(self, **terms: Any) -> Reconciler:
        """Return one that knows nothing yet, as after a start of the control plane."""
        replicas = {name: engine.terms() for name, engine in self.engines.items()}
        return Reconciler(
            self.registry, AdapterTerms.model_validate({"replicas": replicas, "drain_s": 5, **terms}), self.session
        )

    async def verified(self, name: str = "sport", version: str = "1.0.0") -> AdapterRecord:
        """Pack, take in and verify a version with a continuation of its own."""
        self.made += 1
        made = self.folder / f"made{self.made}"
        bundle = passing_bundle(made, self.base, seed=self.made, probe=probe_of(self.made), name=name, version=version)
        record = await self.registry.bring(bundle.folder, DEED)
        self.owner.sign(bundle.folder)
        return await self.registry.verify(record.digest, DEED)

    async def live(self, name: str = "sport", version: str = "1.0.0") -> AdapterRecord:
        """Make a version live."""
        record = await self.verified(name, version)
        await self.promote(record)
        return record

    async def promote(self, record: AdapterRecord) -> None:
        line = await self.ledger.adapter_line(record.id)
        await self.registry.promote(record.digest, line.generation, DEED)

    async def canary(self, record: AdapterRecord, share: float = 0.5) -> None:
        line = await self.ledger.adapter_line(record.id)
        terms = CanaryTerms(share=share, slow_s=10)
        await self.registry.start_canary(record.digest, line.generation, terms, DEED)

    async def shown(self, record: AdapterRecord) -> dict[str, ReplicaState]:
        """Return how far a version is on each replica, as the ledger shows it."""
        found = await self.ledger.adapter_replicas()
        return {one.replica: one.state for one in found if one.digest == record.digest}

    async def told(self, record: AdapterRecord, replica: str = "one") -> str:
        """Return what is shown of a version on a replica besides."""
        found = await self.ledger.adapter_replicas()
        return next(one.detail for one in found if (one.digest, one.replica) == (record.digest, replica))
