"""The registry: bundles come in whole and read-only, travel as one file, and go only when nobody needs them."""

import asyncio
import stat
import tarfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle
from concilium.adapters.refusals import BundleRefused
from concilium.adapters.registry.parcel import ParcelRefused
from concilium.adapters.registry.registry import Registry
from concilium.adapters.registry.store import AdapterStore
from concilium.adapters.trust import TrustRefused
from concilium.contracts.adapter_life import AdapterRecord, CanaryTerms
from concilium.contracts.adapters import WEIGHTS, AdapterState, Reference
from concilium.contracts.errors import Conflict, NotFound
from support.adapter_life import DEED, passing_bundle
from support.adapters import OTHER, make_base
from support.ledgers import hands
from support.trusting import Owner


@dataclass
class Shop:
    """A registry, and where its bundles are made."""

    registry: Registry
    owner: Owner
    base: BaseModelFacts
    made: Path

    def bundle(self, **said: Any) -> Bundle:
        """Pack a version, by default sport@1.2.0."""
        return passing_bundle(self.made / f"{len(list(self.made.iterdir()))}", self.base, **said)

    async def bring(self, **said: Any) -> AdapterRecord:
        """Pack a version and take it in."""
        return await self.registry.bring(self.bundle(**said).folder, DEED)

    async def live(self, **said: Any) -> AdapterRecord:
        """Pack a version and make it live."""
        record = await self.bring(**said)
        self.owner.sign(self.registry.store.path(record.digest))
        await self.registry.verify(record.digest, DEED)
        line = await self.registry.ledger.adapter_line(record.id)
        await self.registry.promote(record.digest, line.generation, DEED)
        return record


@pytest.fixture
async def shop(tmp_path: Path, base: BaseModelFacts) -> AsyncIterator[Shop]:
    (tmp_path / "made").mkdir()
    async with hands(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", tmp_path / "blobs") as mesh:
        owner = Owner(tmp_path / "owner")
        registry = Registry(AdapterStore(tmp_path / "store"), mesh.ledger, owner.vouch, base)
        yield Shop(registry, owner, base, tmp_path / "made")


async def test_a_bundle_lies_under_its_digest_read_only_and_whole(shop: Shop) -> None:
    bundle = shop.bundle()
    record = await shop.registry.bring(bundle.folder, DEED)
    lies = shop.registry.store.path(bundle.digest)
    assert (record.digest, record.state, record.probed) == (bundle.digest, AdapterState.CANDIDATE, True)
    assert stat.S_IMODE(lies.stat().st_mode) == 0o555
    assert {stat.S_IMODE(path.stat().st_mode) for path in lies.iterdir()} == {0o444}
    assert {path.name: path.read_bytes() for path in lies.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.folder.iterdir()
    }
    assert shop.registry.store.digests() == [bundle.digest]
    assert await shop.registry.bring(bundle.folder, DEED) == record, "again is no error"


async def test_a_bundle_that_is_refused_leaves_neither_files_nor_a_row(shop: Shop) -> None:
    bundle = shop.bundle()
    weights = bundle.folder / WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BundleRefused, match="changed after packing"):
        await shop.registry.bring(bundle.folder, DEED)
    assert shop.registry.store.digests() == []
    assert [path.name for path in shop.registry.store.folder.iterdir()] == [".lock"]
    assert await shop.registry.ledger.list_adapters() == []


async def test_an_adapter_of_another_base_is_refused_before_it_is_a_candidate(shop: Shop, tmp_path: Path) -> None:
    other = Registry(shop.registry.store, shop.registry.ledger, shop.owner.vouch, make_base(tmp_path / "other", OTHER))
    with pytest.raises(BundleRefused):
        await other.bring(shop.bundle().folder, DEED)
    assert await shop.registry.ledger.list_adapters() == []


async def test_what_the_index_does_not_name_or_has_revoked_is_never_verified(shop: Shop) -> None:
    record = await shop.bring()
    with pytest.raises(TrustRefused, match="not-in-index"):
        await shop.registry.verify(record.digest, DEED)
    shop.owner.sign(shop.registry.store.path(record.digest))
    shop.owner.revoke(record, "it lies")
    with pytest.raises(TrustRefused, match="it lies"):
        await shop.registry.verify(record.digest, DEED)
    assert (await shop.registry.ledger.get_adapter(record.digest)).state is AdapterState.CANDIDATE


async def test_an_index_that_has_run_out_verifies_nothing(shop: Shop) -> None:
    record = await shop.bring()
    shop.owner.sign(shop.registry.store.path(record.digest))
    shop.owner.ahead = timedelta(days=400)
    with pytest.raises(TrustRefused, match="expired"):
        await shop.registry.verify(record.digest, DEED)


async def test_what_was_damaged_in_the_store_is_seen_and_mended_by_bringing_it_again(shop: Shop) -> None:
    bundle = shop.bundle()
    await shop.registry.bring(bundle.folder, DEED)
    shop.owner.sign(bundle.folder)
    weights = shop.registry.store.path(bundle.digest) / WEIGHTS
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(BundleRefused):
        await shop.registry.verify(bundle.digest, DEED)
    await shop.registry.bring(bundle.folder, DEED)
    await shop.registry.verify(bundle.digest, DEED)


async def test_one_bundle_brought_by_many_at_once_is_there_once(shop: Shop) -> None:
    bundle = shop.bundle()
    found = await asyncio.gather(*(shop.registry.bring(bundle.folder, DEED) for _ in range(6)))
    assert {record.digest for record in found} == {bundle.digest}
    assert len(await shop.registry.ledger.adapter_events("sport")) == 1


async def test_aliases_resolve_from_memory_and_a_move_is_seen_at_once(shop: Shop) -> None:
    first = await shop.live()
    reference = Reference.parse("sport@live")
    assert await shop.registry.resolve(reference) == first.served_name
    reads: list[str] = []
    read = shop.registry.ledger.adapter_line

    async def counted(adapter: str) -> Any:
        reads.append(adapter)
        return await read(adapter)

    shop.registry.ledger.adapter_line = counted  # type: ignore[method-assign]
    for _ in range(20):
        await shop.registry.resolve(reference)
    assert len(reads) <= 2, "twenty resolutions read the ledger at most once more"
    shop.registry.ledger.adapter_line = read  # type: ignore[method-assign]
    second = await shop.live(version="2.0.0")
    assert await shop.registry.resolve(reference) == second.served_name
    await shop.registry.rollback("sport", DEED)
    assert await shop.registry.resolve(reference) == first.served_name
    await shop.registry.retire(first.digest, DEED)
    with pytest.raises(NotFound, match="leads nowhere"):
        await shop.registry.resolve(reference)


async def test_a_canary_has_an_alias_of_its_own(shop: Shop) -> None:
    await shop.live()
    second = await shop.bring(version="2.0.0")
    shop.owner.sign(shop.registry.store.path(second.digest))
    await shop.registry.verify(second.digest, DEED)
    line = await shop.registry.line("sport")
    await shop.registry.start_canary(second.digest, line.generation, CanaryTerms(share=0.1, slow_s=1), DEED)
    assert await shop.registry.resolve(Reference.parse("sport@canary")) == second.served_name


async def test_gc_removes_old_candidates_and_retired_versions_and_nothing_that_is_needed(shop: Shop) -> None:
    live = await shop.live()
    parent = await shop.bring(name="core")
    child = await shop.bring(name="mix", parents=(parent.digest,), seed=1)
    await shop.registry.ledger.pin_adapter(child.digest, DEED)
    free, retired = await shop.bring(name="free", seed=2), await shop.bring(name="old", seed=3)
    await shop.registry.retire(retired.digest, DEED)
    young = await shop.registry.gc(3600, DEED)
    assert young.removed == ()
    found = await shop.registry.gc(0, DEED)
    assert set(found.removed) == {free.digest, retired.digest}
    assert found.bytes > 0
    assert set(found.kept) == {live.digest, parent.digest, child.digest}
    assert set(shop.registry.store.digests()) == {live.digest, parent.digest, child.digest}
    await shop.registry.ledger.pin_adapter(child.digest, DEED, pinned=False)
    assert set((await shop.registry.gc(0, DEED)).removed) == {parent.digest, child.digest}


async def test_gc_removes_what_a_crash_left_behind(shop: Shop) -> None:
    live, bundle = await shop.live(), shop.bundle(name="orphan", seed=4)
    shop.registry.store.put(bundle.folder)
    half = shop.registry.store.folder / ".half.x"
    half.mkdir()
    found = await shop.registry.gc(3600, DEED)
    assert found.removed == (bundle.digest,)
    assert not half.exists()
    assert shop.registry.store.digests() == [live.digest]


async def test_a_parcel_carries_adapters_and_what_they_were_made_from_to_another_mesh(
    shop: Shop, tmp_path: Path, base: BaseModelFacts
) -> None:
    parent = await shop.bring(name="core")
    child = await shop.bring(name="mix", parents=(parent.digest,), seed=1)
    size = await shop.registry.pack([child.digest], tmp_path / "a.tar")
    assert size == (tmp_path / "a.tar").stat().st_size
    assert stat.S_IMODE((tmp_path / "a.tar").stat().st_mode) == 0o600
    async with hands(f"sqlite:///{tmp_path / 'there.sqlite3'}", tmp_path / "blobs") as mesh:
        there = Registry(AdapterStore(tmp_path / "there"), mesh.ledger, shop.owner.vouch, base)
        found = await there.unpack(tmp_path / "a.tar", DEED)
        assert [(record.digest, record.state) for record in found] == [
            (child.digest, AdapterState.CANDIDATE), (parent.digest, AdapterState.CANDIDATE),
        ]  # fmt: skip
        assert there.store.digests() == sorted([child.digest, parent.digest])
        assert sorted(path.name for path in there.store.folder.iterdir() if path.name.startswith(".")) == [".lock"]


def member(name: str, data: bytes = b"x", **terms: Any) -> bytes:
    """Return a tar of one member."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        for term, value in terms.items():
            setattr(info, term, value)
        tar.addfile(info, BytesIO(data))
    return out.getvalue()


D = "d" * 64
BAD_PARCELS: dict[str, Callable[[bytes], bytes]] = {
    "a path outside": lambda good: member("../../etc/passwd"),
    "an absolute path": lambda good: member(f"/{D}/README.md"),
    "a folder in a bundle": lambda good: member(f"{D}/sub/README.md"),
    "a file that bundles do not have": lambda good: member(f"{D}/evil.py"),
    "a symbolic link": lambda good: member(f"{D}/README.md", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": lambda good: member(f"{D}/README.md", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a device": lambda good: member(f"{D}/README.md", b"", type=tarfile.CHRTYPE),
    "an extension header": lambda good: member("a" * 200),
    "a text that is too large": lambda good: member(f"{D}/README.md", b"x" * (2**20 + 1)),
    "a name twice": lambda good: member(f"{D}/README.md")[:1024] + member(f"{D}/README.md"),
    "nothing": lambda good: bytes(10240),
    "no tar": lambda good: b"not a tar" * 1000,
    "an end too early": lambda good: good[: len(good) // 3],
    "a changed byte in its header": lambda good: good[:5] + b"?" + good[6:],
}


@pytest.mark.parametrize("what", BAD_PARCELS)
async def test_a_parcel_with_anything_else_in_it_is_refused_and_leaves_nothing(
    shop: Shop, tmp_path: Path, what: str
) -> None:
    there = tmp_path / "there"
    record = await shop.bring()
    await shop.registry.pack([record.digest], tmp_path / "good.tar")
    (tmp_path / "bad.tar").write_bytes(BAD_PARCELS[what]((tmp_path / "good.tar").read_bytes()))
    registry = Registry(AdapterStore(there), shop.registry.ledger, shop.owner.vouch, shop.base)
    with pytest.raises(ParcelRefused):
        await registry.unpack(tmp_path / "bad.tar", DEED)
    assert [path.name for path in there.iterdir()] == [".lock"]


async def test_a_bundle_under_anothers_digest_is_refused(shop: Shop, tmp_path: Path) -> None:
    record = await shop.bring()
    await shop.registry.pack([record.digest], tmp_path / "good.tar")
    data = (tmp_path / "good.tar").read_bytes()
    out = BytesIO()
    with tarfile.open(fileobj=BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for info in old:
            content = old.extractfile(info)
            info.name = info.name.replace(record.digest, D)
            new.addfile(info, content)
    (tmp_path / "bad.tar").write_bytes(out.getvalue())
    with pytest.raises(ParcelRefused, match="calls dddddddddddd"):
        await shop.registry.unpack(tmp_path / "bad.tar", DEED)


async def test_a_version_of_other_bytes_is_refused_and_its_files_go_with_the_next_gc(shop: Shop) -> None:
    await shop.bring()
    with pytest.raises(Conflict, match="never used for other bytes"):
        await shop.bring(seed=9)
    assert len((await shop.registry.gc(3600, DEED)).removed) == 1
