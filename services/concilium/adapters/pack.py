"""Packing: a trained LoRA and what is known of it become a bundle. The same input gives the same bytes."""

from dataclasses import dataclass, replace
from pathlib import Path

from concilium.adapters import lora_config
from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import TEXT_BYTES, Bundle, check_text, fit, open_bundle
from concilium.adapters.folder import Progress, opened, silent
from concilium.adapters.peft_folder import PeftFolder, peft_folder
from concilium.adapters.refusals import Refusal
from concilium.adapters.writing import new_folder, seal, write_file
from concilium.contracts.adapters import (
    CONFIG,
    LICENSE,
    README,
    REPORT,
    WEIGHTS,
    AdapterFacts,
    Verdict,
    VerifyReport,
)

_CHUNK = 2**22


@dataclass(frozen=True)
class Papers:
    """The texts that go with an adapter.

    Attributes:
        license: under which it may be used.
        readme: about it; None: a short one is written.
        report: what was measured of it; None: nothing was, which is INSUFFICIENT.
    """

    license: Path
    readme: Path | None = None
    report: Path | None = None


def pack(
    source: Path,
    target: Path,
    facts: AdapterFacts,
    base: BaseModelFacts,
    papers: Papers,
    *,
    progress: Progress = silent,
) -> Bundle:
    """Write a bundle into a new folder and return it, checked.

    Args:
        source: what PEFT or `export` saved.
        target: the folder to make.
        facts: what the maker says of it.
        base: the model it was trained on.
        papers: licence, readme, report.
        progress: told of the weights' bytes as they are read, three times.

    Raises:
        BundleRefused: the adapter is not one that engines can serve safely; its code says why.
    """
    with new_folder(target) as folder:
        with peft_folder(source) as found:
            lora_config.check_uniform(found.config)
            _write_adapter(folder, found, progress)
        write_file(folder, LICENSE, _paper(papers.license, LICENSE))
        write_file(folder, README, _paper(papers.readme, README) if papers.readme else _about(facts, base, found))
        verdict = _verdict(papers.report)
        seal(folder, facts, base.fingerprint, rank=found.config.r, verdict=verdict)
        bundle = open_bundle(folder, base, progress)
    return replace(bundle, folder=target)


def _write_adapter(folder: Path, found: PeftFolder, progress: Progress) -> None:
    with (folder / WEIGHTS).open("xb") as copy:
        for offset in range(0, found.weights.size, _CHUNK):
            part = found.weights.read(offset, min(_CHUNK, found.weights.size - offset))
            copy.write(part)
            progress(len(part))
    (folder / WEIGHTS).chmod(0o644)
    config = found.config
    data = lora_config.write(rank=config.r, alpha=config.alpha, modules=found.modules, task=config.task)
    write_file(folder, CONFIG, data)


def _paper(path: Path, name: str) -> bytes:
    with opened(path.parent, path.name, TEXT_BYTES, links=True) as file:
        data = file.read(0, file.size)
    check_text(name, data)
    return data


def _verdict(path: Path | None) -> VerifyReport:
    if path is None:
        return VerifyReport(verdict=Verdict.INSUFFICIENT)
    return fit(_paper(path, REPORT), VerifyReport, REPORT, Refusal.BAD_REPORT)


def _about(facts: AdapterFacts, base: BaseModelFacts, found: PeftFolder) -> bytes:
    on = f"{base.fingerprint.name} ({base.fingerprint.architecture})"
    what = f"A LoRA of rank {found.config.r} on {on} for {facts.capability}; it changes {len(found.modules)} modules."
    lines = [f"# {facts.id} {facts.version}", "", what]
    if facts.paradigm is not None:
        lines += ["", facts.paradigm.warning_text.en, "", facts.paradigm.warning_text.ru]
    return ("\n".join(lines) + "\n").encode()
