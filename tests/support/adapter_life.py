"""Versions of adapters for tests of their life."""

from pathlib import Path
from typing import Any

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle
from concilium.adapters.pack import Papers, pack
from concilium.contracts.adapter_life import AdapterRecord, Proof
from concilium.contracts.adapters import LISTED, Gate, Manifest, Probe, Verdict, VerifyReport, digest_of
from concilium.ledger import Deed, Ledger
from support.adapters import facts, lora_arrays, make_peft

DEED = Deed("anna", "a test")
PROBE = Probe(prompt=(1, 2, 3), continuation=(4, 5), adapter=(-0.5, -0.7), base=(-4.0, -5.0), tolerance=0.1, margin=1.0)


def probe_of(number: int) -> Probe:
    """Return a probe whose continuation no other number has."""
    return PROBE.model_copy(update={"continuation": (1000 + number, 2000 + number)})


def manifest(
    adapter: str = "sport", version: str = "1.0.0", parents: tuple[str, ...] = (), verdict: Verdict = Verdict.PASS
) -> Manifest:
    """Return the manifest of a version; other terms give other bytes, hence another digest."""
    listed = {name: {"sha256": "a" * 64, "bytes": 1} for name in LISTED}
    return Manifest.model_validate(
        {
            "id": adapter,
            "version": version,
            "capability": "topic.sport",
            "parents": parents,
            "base": {"name": "tiny", "architecture": "Qwen3ForCausalLM", "shapes": "b" * 64},
            "rank": 4,
            "bytes": 1000,
            "files": listed,
            "reports": {"verify_report.json": verdict},
        }
    )


def digest(made: Manifest) -> str:
    """Return a manifest's digest."""
    return digest_of(made.model_dump_json().encode())


async def registered(
    ledger: Ledger,
    adapter: str = "sport",
    version: str = "1.0.0",
    *,
    probed: bool = True,
    parents: tuple[str, ...] = (),
) -> AdapterRecord:
    """Make a candidate."""
    made = manifest(adapter, version, parents)
    return await ledger.register_adapter(made, digest(made), 1000, DEED, probed=probed)


def proof(of: str) -> Proof:
    """Return a proof that a version was verified."""
    return Proof(digest=of, by="index 12")


async def verified(
    ledger: Ledger,
    adapter: str = "sport",
    version: str = "1.0.0",
    *,
    probed: bool = True,
    parents: tuple[str, ...] = (),
) -> AdapterRecord:
    """Make a version that engines may load."""
    made = await registered(ledger, adapter, version, probed=probed, parents=parents)
    return await ledger.verify_adapter(made.digest, proof(made.digest), DEED)


async def live(ledger: Ledger, adapter: str = "sport", version: str = "1.0.0") -> AdapterRecord:
    """Make a version live."""
    made = await verified(ledger, adapter, version)
    line = await ledger.adapter_line(adapter)
    await ledger.promote_adapter(made.digest, line.generation, DEED)
    return await ledger.get_adapter(made.digest)


def passing_bundle(
    folder: Path, base: BaseModelFacts, *, seed: int = 0, probe: Probe | None = PROBE, **said: Any
) -> Bundle:
    """Pack a bundle whose report passes, with a probe."""
    source = make_peft(folder.with_name(f"{folder.name}.peft"), lora_arrays(seed=seed))
    gates = (Gate(name="behaviour", verdict=Verdict.PASS, value=0.9, limit=0.8),)
    report = VerifyReport(verdict=Verdict.PASS, gates=gates, probe=probe)
    written, license_file = (folder.with_name(f"{folder.name}.{kind}") for kind in ("report", "license"))
    written.write_text(report.model_dump_json(exclude_none=True))
    license_file.write_text("CC0 1.0 Universal\n")
    return pack(source, folder, facts(**said), base, Papers(license_file, report=written))
