"""Writing adapters: uniform weights, the manifest, and folders that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from concilium.adapters import lora_config, strict_json
from concilium.adapters.arrays import Floats, holds, stored_as
from concilium.adapters.bundle import WEIGHTS_BYTES, read_modules
from concilium.adapters.folder import opened
from concilium.adapters.modules import tensor_names
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import (
    CONFIG,
    LISTED,
    MANIFEST,
    REPORT,
    WEIGHTS,
    AdapterFacts,
    BaseFingerprint,
    Composition,
    ListedFile,
    Manifest,
    VerifyReport,
)

SERVED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The largest ranks that vLLM can be told to keep room for (its ``max_lora_rank``)."""

_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_METADATA = {"format": "pt"}
"""What loaders for PyTorch look for; a second member would be written in an order that changes."""


def served_rank(rank: int) -> int:
    """Return the smallest served rank that a rank fits into. Raises `BundleRefused` when none is so large."""
    for served in SERVED_RANKS:
        if rank <= served:
            return served
    raise BundleRefused(
        Refusal.RANK_TOO_HIGH, f"rank {rank} is over {SERVED_RANKS[-1]}, the largest that engines serve"
    )


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to fill that becomes ``target`` at the end, and is gone after an error.

    Raises:
        BundleRefused: ``exists``: something is there already.
    """
    target = target.parent.resolve() / target.name
    if os.path.lexists(target):
        raise BundleRefused(Refusal.EXISTS, f"{target} is there already; name a new folder or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield made
        made.chmod(0o755)
        for path in (*made.iterdir(), made):
            _sync(path)
        try:
            made.rename(target)
        except OSError as error:
            raise BundleRefused(Refusal.EXISTS, f"{target} was made meanwhile") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Write a new file that others may read."""
    with (folder / name).open("xb") as file:
        file.write(data)
    (folder / name).chmod(0o644)


def write_lora(
    folder: Path, modules: Mapping[str, tuple[Floats, Floats]], rank: int, dtype: str, task: str | None
) -> str:
    """Write a LoRA of one rank with a scale of 1; narrower matrices are padded with zeros.

    Args:
        folder: where to.
        modules: A and B of each module, B with the scale in it.
        rank: of all of them.
        dtype: the type to store them in when it holds every value exactly; else it is ``F32``.
        task: PEFT's ``task_type``.

    Returns:
        the type they are stored in.

    Raises:
        BundleRefused: ``not-finite``: a scale made a value too large for float32.
    """
    padded = {name: _padded(name, a, b, rank) for name, (a, b) in modules.items()}
    if not all(holds(values, dtype) for sides in padded.values() for values in sides):
        dtype = "F32"
    # The library is given addresses: the arrays live until it has written them.
    stored = {
        name: stored_as(values, dtype)
        for module, sides in padded.items()
        for name, values in zip(tensor_names(module), sides, strict=True)
    }
    specs = {name: _spec(array, dtype) for name, array in stored.items()}
    safetensors.serialize_file(specs, folder / WEIGHTS, metadata=_METADATA)
    (folder / WEIGHTS).chmod(0o644)
    write_file(folder, CONFIG, lora_config.write(rank=rank, alpha=rank, modules=modules, task=task))
    return dtype


def seal(
    folder: Path,
    facts: AdapterFacts,
    base: BaseFingerprint,
    *,
    rank: int,
    verdict: VerifyReport,
    composition: Composition | None = None,
) -> None:
    """Write the report and the manifest beside the files that are there."""
    write_file(folder, REPORT, strict_json.dump(verdict.model_dump(mode="json", exclude_none=True)))
    with opened(folder, WEIGHTS, WEIGHTS_BYTES) as file:
        stored = sum(module.a.bytes + module.b.bytes for module in read_modules(file).values())
    files = {}
    for name in LISTED:
        with opened(folder, name, WEIGHTS_BYTES) as file:
            files[name] = ListedFile(sha256=file.sha256(), bytes=file.size)
    manifest = Manifest(
        **facts.model_dump(),
        base=base,
        rank=rank,
        bytes=stored,
        files=files,
        reports={REPORT: verdict.verdict},
        composition=composition,
    )
    write_file(folder, MANIFEST, strict_json.dump(manifest.model_dump(mode="json")))


def _spec(array: npt.NDArray[Any], dtype: str) -> safetensors.TensorSpec:
    where, size = array.ctypes.data, array.nbytes
    return safetensors.TensorSpec(dtype=_TYPES[dtype], shape=array.shape, data_ptr=where, data_len=size)


def _sync(path: Path) -> None:
    """Bring a file or a folder to the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _padded(name: str, a: Floats, b: Floats, rank: int) -> tuple[Floats, Floats]:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise BundleRefused(Refusal.NOT_FINITE, f"{name}: with its scale a value is too large for float32", module=name)
    more = rank - a.shape[0]
    return np.pad(a, ((0, more), (0, 0))), np.pad(b, ((0, 0), (0, more)))
