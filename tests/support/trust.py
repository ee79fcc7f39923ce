"""A mesh with an index, its keys at hand, and what an attacker can do with files: the tests' own forge."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root

from concilium.adapters.trust import TrustState, VerifiedAdapter, author, export_to, import_from, update, verify
from concilium.adapters.trust.bundle import manifest_of, opened
from concilium.adapters.trust.documents import read
from concilium.adapters.trust.encoding import canonical
from concilium.adapters.trust.keys import Kind, make_key
from concilium.adapters.trust.targets import Target

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODELS = ("Qwen/Qwen3-30B",)
Change = Callable[[dict[str, Any]], None]


@dataclass
class Engine:
    """What takes adapters: nothing but a proof, and it counts the bytes that it saw."""

    seen: int = 0

    def load(self, adapter: VerifiedAdapter) -> None:
        """Read the weights."""
        self.seen += len((adapter.folder / "adapter_model.safetensors").read_bytes())


def write_bundle(folder: Path, adapter: str = "sport", version: str = "1.2.0", **facts: Any) -> Path:
    """Write a bundle; `facts` go into its manifest."""
    folder.mkdir(parents=True)
    files = {
        "adapter_model.safetensors": f"weights of {adapter} {version}".encode() * 100,
        "adapter_config.json": b'{"r": 8}',
        "verify_report.json": b'{"verdict": "PASS", "gates": [{"name": "loss", "verdict": "PASS", "value": 0.25}]}',
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    listed = {name: {"sha256": sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()}
    reports = {"verify_report.json": "PASS"}
    manifest = {"id": adapter, "version": version, "restricted": False, "files": listed, "reports": reports} | facts
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    return folder


def edit_json(path: Path, change: Change) -> None:
    """Change a JSON file in place."""
    members = json.loads(path.read_bytes())
    change(members)
    path.write_text(json.dumps(members, indent=2))


@dataclass
class Mesh:
    """A home that trusts an index with one adapter in it, and the keys of that index."""

    folder: Path
    now: datetime = NOW
    roots: list[CryptoSigner] = field(default_factory=lambda: [make_key() for _ in range(3)])
    index: CryptoSigner = field(default_factory=make_key)
    freshness: CryptoSigner = field(default_factory=make_key)
    engine: Engine = field(default_factory=Engine)

    def __post_init__(self) -> None:
        raw = author.first_root(self.roots, 2, self.index, self.freshness, self.now)
        trusted = update.begin(raw, self.now)
        offered = author.publish(trusted, None, (), self.signers, self.now)
        with self.state.changing():
            self.believe(trusted, offered)
        self.bundle = write_bundle(self.folder / "bundle")
        self.publish(self.target_of(self.bundle))

    @property
    def state(self) -> TrustState:
        """What the home under attack believes."""
        return TrustState(self.folder / "trust")

    @property
    def state_file(self) -> Path:
        """Where it is written."""
        return self.folder / "trust" / "trusted.json"

    @property
    def signers(self) -> author.Signers:
        """The keys of the index."""
        return author.Signers(self.index, self.freshness)

    def target_of(self, bundle: Path) -> Target:
        """What an index says of a bundle."""
        with opened(bundle) as handle:
            return manifest_of(handle).target

    def next_index(self, *targets: Target) -> update.Offered:
        """The index after the one that is held, with these adapters besides, as its owner would sign it."""
        trusted = self.state.load()
        assert trusted.index is not None
        entries = dict(trusted.index.entries) | {target.reference: target for target in targets}
        return author.publish(trusted, trusted.index, entries.values(), self.signers, self.now)

    def publish(self, *targets: Target) -> None:
        """Sign the next index and believe it."""
        trusted = self.state.load()
        self.believe(trusted, self.next_index(*targets))

    def believe(self, trusted: update.Trusted, offered: update.Offered) -> None:
        """Take an index without carrying it."""
        self.state.store(update.accept(trusted, update.assemble(trusted.root, offered), self.now))

    def deliver(self, offered: update.Offered, *roots: bytes, fingerprint: str = "") -> None:
        """Hand an index over in a folder, the way it is carried from home to home."""
        import_from(self.state, self.parcel(offered, *roots), self.now, fingerprint)

    def parcel(self, offered: update.Offered, *roots: bytes) -> Path:
        """Write a folder with an index and, besides the known roots, some more."""
        folder = self.folder / "parcel"
        export_to(self.state, folder)
        for raw in roots:
            (folder / f"{version_of(raw)}.root.json").write_bytes(raw)
        snapshot, targets = named_in(offered.timestamp), named_in(offered.snapshot)
        (folder / f"{snapshot}.snapshot.json").write_bytes(offered.snapshot)
        (folder / f"{targets}.targets.json").write_bytes(offered.targets)
        (folder / "timestamp.json").write_bytes(offered.timestamp)
        return folder

    def next_root(self, kind: str, drop: Sequence[str], add: Sequence[CryptoSigner]) -> Metadata[Root]:
        """The root after the one that is held, unsigned."""
        return author.next_root(self.state.load().root, Kind(kind), drop, add, self.now)

    def rotated(self, kind: str) -> bytes:
        """The next root, properly signed, in which the index's or freshness key is replaced."""
        new, old = make_key(), getattr(self, kind)
        root = self.next_root(kind, [old.public_key.keyid], [new])
        setattr(self, kind, new)
        return author.signed(root, self.roots)

    def serve(self, bundle: Path | None = None, *, now: datetime | None = None, restricted: bool = False) -> None:
        """Do what has to be done before an engine has an adapter: verify, then hand over."""
        moment = now or self.now
        proof = verify(self.state, bundle or self.bundle, moment, models=MODELS, allow_restricted=restricted)
        self.engine.load(proof)

    def later(self, **span: float) -> datetime:
        """A moment after now."""
        return self.now + timedelta(**span)


def version_of(raw: bytes) -> int:
    """The version that a file says it has."""
    return int(json.loads(raw)["signed"]["version"])


def named_in(raw: bytes) -> int:
    """The version of the file that a timestamp or a snapshot names."""
    meta = next(iter(json.loads(raw)["signed"]["meta"].values()))
    return int(meta["version"])


def forge(raw: bytes, change: Change, *signers: CryptoSigner) -> bytes:
    """Change what a file says and sign it anew; without signers the old signatures stay."""
    members = json.loads(raw)
    change(members["signed"])
    if signers:
        members["signatures"] = signatures(members["signed"], *signers)
    return canonical(members)


def signatures(signed: dict[str, Any], *signers: CryptoSigner) -> list[dict[str, str]]:
    """Signatures of what a file says."""
    payload = canonical(deepcopy(signed))
    return [signer.sign(payload).to_dict() for signer in signers]


def around(
    targets: bytes, snapshot: bytes, timestamp: bytes, freshness: CryptoSigner, change: Change = lambda signed: None
) -> update.Offered:
    """An index around forged targets, for an attacker who has the freshness key."""

    def name(raw: bytes) -> dict[str, Any]:
        return {"version": version_of(raw), "length": len(raw), "hashes": {"sha256": sha256(raw).hexdigest()}}

    snapshot = forge(snapshot, lambda signed: signed["meta"].update({"targets.json": name(targets)}), freshness)

    def point(signed: dict[str, Any]) -> None:
        signed["meta"]["snapshot.json"] = name(snapshot)
        change(signed)

    return update.Offered(forge(timestamp, point, freshness), snapshot, targets)


__all__ = ["MODELS", "NOW", "Engine", "Mesh", "around", "edit_json", "forge", "read", "signatures", "write_bundle"]
