"""Opening a bundle: everything that can be known of it without running it is checked before anybody gets it.

In order: what the folder holds, the manifest, the hash of every file, the configuration, the weights' header, the
numbers, the report, and the base model.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from concilium.adapters import lora_config, strict_json
from concilium.adapters.arrays import check_numbers
from concilium.adapters.base_model import BaseModelFacts, check_base
from concilium.adapters.folder import PlainFile, Progress, opened, read, scan, silent
from concilium.adapters.header import read_header
from concilium.adapters.lora_config import LoraConfig
from concilium.adapters.modules import LoraModule, pair
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import (
    CONFIG,
    LICENSE,
    LISTED,
    MANIFEST,
    README,
    REPORT,
    WEIGHTS,
    BundleFile,
    Manifest,
    VerifyReport,
    digest_of,
    served_name,
)

TEXT_BYTES = 2**20
CONFIG_BYTES = 4 * 2**20
"""A LoRA on each of 128 experts in 48 layers names 18,432 modules, a megabyte."""
WEIGHTS_BYTES = 16 * 2**30

LIMITS = {
    WEIGHTS: WEIGHTS_BYTES, CONFIG: CONFIG_BYTES, MANIFEST: TEXT_BYTES, REPORT: TEXT_BYTES, LICENSE: TEXT_BYTES,
    README: TEXT_BYTES,
}  # fmt: skip
"""What a bundle may hold, with the most bytes of each."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Bundle:
    """A checked adapter.

    Attributes:
        folder: where it is.
        digest: its name: the hash of its manifest, which holds those of all other files.
        manifest: what it is.
        config: how its tensors are scaled.
        report: what was measured of it.
        modules: what it changes, by the name of the base's module, in natural order.
    """

    folder: Path
    digest: str
    manifest: Manifest
    config: LoraConfig
    report: VerifyReport
    modules: Mapping[str, LoraModule]
    stamp: tuple[int, ...]

    @property
    def served_name(self) -> str:
        """What engines call it."""
        return served_name(self.manifest.id, self.manifest.version, self.digest)

    @contextmanager
    def weights(self) -> Iterator[PlainFile]:
        """Open the weights. Raises `BundleRefused` when they are not those that were checked."""
        with opened(self.folder, WEIGHTS, WEIGHTS_BYTES) as file:
            if file.stamp != self.stamp:
                raise BundleRefused(Refusal.CHANGED, f"{WEIGHTS} was changed after it was checked", file=WEIGHTS)
            yield file


def open_bundle(folder: Path, base: BaseModelFacts | None = None, progress: Progress = silent) -> Bundle:
    """Return the adapter in a folder.

    Args:
        folder: the bundle.
        base: the model it is to serve on; None: its base is not checked.
        progress: told of the weights' bytes as they are read, twice.

    Raises:
        BundleRefused: something about it is wrong; its code says what.
    """
    scan(folder, LIMITS, frozenset({*LISTED, MANIFEST}))
    data = read(folder, MANIFEST, TEXT_BYTES)
    manifest = _manifest(data)
    texts = {name: _listed(folder, manifest, name) for name in (CONFIG, REPORT, LICENSE, README)}
    config = lora_config.parse(texts[CONFIG])
    lora_config.check_uniform(config)
    if config.base is not None:
        named = f"{CONFIG} names the base {ascii(config.base)[:80]}, which loaders would fetch"
        detail = f"{named}; `concilium adapters pack` writes it without"
        raise BundleRefused(Refusal.REMOTE_BASE, detail, file=CONFIG)
    report = _report(texts[REPORT], manifest)
    with opened(folder, WEIGHTS, WEIGHTS_BYTES) as file:
        _check_listed(manifest, WEIGHTS, file.size, file.sha256(progress))
        modules = read_modules(file)
        _check_ranks(manifest, config, modules)
        if base is not None:
            check_base(manifest.base, modules.values(), base)
        _check_form(texts[CONFIG], config, modules)
        check_numbers(file, modules.values(), progress)
        stamp = file.stamp
    return Bundle(folder, digest_of(data), manifest, config, report, modules, stamp)


def read_modules(file: PlainFile) -> dict[str, LoraModule]:
    """Return the modules that an adapter's file of weights changes. Raises `BundleRefused`."""
    return pair(read_header(file))


def check_text(name: str, data: bytes) -> None:
    """Refuse a text that is not UTF-8, or has controls that a terminal would obey. Raises `BundleRefused`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleRefused(Refusal.BAD_TEXT, f"{name} is not UTF-8: {error.reason}", file=name) from error
    if any(character < " " and character not in "\t\n\r\f" for character in text):
        raise BundleRefused(Refusal.BAD_TEXT, f"{name} has control characters; write it as plain text", file=name)


def _manifest(data: bytes) -> Manifest:
    members = strict_json.load(data, MANIFEST)
    files = members.get("files")
    for name in files if isinstance(files, dict) else ():
        if "/" in name or "\\" in name or name in {".", ".."}:
            detail = f"{MANIFEST} lists {ascii(name)[:80]}, a path; it lists the files beside it by their names"
            raise BundleRefused(Refusal.PATH_OUTSIDE, detail, file=MANIFEST)
    return fit(data, Manifest, MANIFEST, Refusal.BAD_MANIFEST)


def fit(data: bytes, model: type[M], file: str, code: Refusal) -> M:
    """Return a file's JSON as a model. Raises `BundleRefused` with the first thing that does not fit, and where."""
    strict_json.load(data, file)
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        detail = f"{file}, {ascii(where)[1:-1][:120]}: {first['msg'][:200]}"
        raise BundleRefused(code, detail, file=file) from error


def _listed(folder: Path, manifest: Manifest, name: BundleFile) -> bytes:
    data = read(folder, name, LIMITS[name])
    check_text(name, data)
    _check_listed(manifest, name, len(data), hashlib.sha256(data).hexdigest())
    return data


def _check_listed(manifest: Manifest, name: BundleFile, size: int, sha256: str) -> None:
    listed = manifest.files[name]
    if (size, sha256) != (listed.bytes, listed.sha256):
        detail = (
            f"{name} has {size} bytes and SHA-256 {sha256[:12]}…, {MANIFEST} lists {listed.bytes} and "
            f"{listed.sha256[:12]}…: it was changed after packing; fetch the bundle again"
        )
        raise BundleRefused(Refusal.HASH_MISMATCH, detail, file=name)


def _check_ranks(manifest: Manifest, config: LoraConfig, modules: Mapping[str, LoraModule]) -> None:
    """Refuse ranks that differ, among the modules or from what manifest and configuration say."""
    for module in modules.values():
        if module.rank != config.r:
            detail = (
                f"{module.name} has rank {module.rank}, {CONFIG} says {config.r}; `concilium adapters export` makes one"
            )
            raise BundleRefused(Refusal.MIXED_RANKS, detail, file=WEIGHTS, module=module.name)
    stored = sum(module.a.bytes + module.b.bytes for module in modules.values())
    if (manifest.rank, manifest.bytes) != (config.r, stored):
        claimed = f"{MANIFEST} claims rank {manifest.rank} and {manifest.bytes} bytes of tensors"
        detail = f"{claimed}, there are {config.r} and {stored}"
        raise BundleRefused(Refusal.FALSE_CLAIM, detail, file=MANIFEST)


def _check_form(data: bytes, config: LoraConfig, modules: Mapping[str, LoraModule]) -> None:
    """Refuse a configuration in another form than ours: loaders import and target what its other members name."""
    if data != lora_config.write(rank=config.r, alpha=config.alpha, modules=modules, task=config.task):
        detail = f"{CONFIG} is not as `concilium adapters pack` writes it for these tensors; pack the adapter again"
        raise BundleRefused(Refusal.BAD_CONFIG, detail, file=CONFIG)


def _report(data: bytes, manifest: Manifest) -> VerifyReport:
    report = fit(data, VerifyReport, REPORT, Refusal.BAD_REPORT)
    claimed = manifest.reports[REPORT]
    if report.verdict is not claimed:
        detail = f"{MANIFEST} claims {claimed}, {REPORT} says {report.verdict}; pack the adapter with its own report"
        raise BundleRefused(Refusal.FALSE_CLAIM, detail, file=MANIFEST)
    return report
