"""A registry, two engines that speak the real wire, and the reconciler between them."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from concilium.adapters.reconcile import keeper
from concilium.adapters.registry.registry import Registry
from concilium.adapters.registry.store import AdapterStore
from support.adapter_house import House
from support.adapters import make_base
from support.ledgers import hands
from support.lora_engine import lora_engine
from support.trusting import Owner


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(keeper, "RETRY_S", 0.0)
    base = make_base(tmp_path / "base")
    store = AdapterStore(tmp_path / "store")
    async with (
        hands(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", tmp_path / "blobs") as mesh,
        lora_engine(tmp_path / "one", store.folder) as one,
        lora_engine(tmp_path / "two", store.folder) as two,
        aiohttp.ClientSession() as session,
    ):
        owner = Owner(tmp_path / "owner")
        registry = Registry(store, mesh.ledger, owner.vouch, base)
        yield House(registry, owner, mesh.ledger, {"one": one, "two": two}, session, base, tmp_path)
