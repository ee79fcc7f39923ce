"""Export: any plain LoRA that PEFT trained becomes one of a single rank, with the scale folded into B.

Engines serve one rank and one scale for all modules of an adapter, and know no rsLoRA by heart. With
``B' = scale · B``, ``alpha = rank`` and zeros as padding, ``B' · A'`` is the same update: zeros add nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from concilium.adapters.arrays import Floats, check_numbers, read_floats
from concilium.adapters.folder import Progress, silent
from concilium.adapters.peft_folder import PeftFolder, peft_folder
from concilium.adapters.writing import new_folder, served_rank, write_lora


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        rank: of every module.
        dtype: the type of the tensors; float32 where the one before did not hold a scaled value exactly.
        modules: how many there are.
    """

    rank: int
    dtype: str
    modules: int


def export(source: Path, target: Path, progress: Progress = silent) -> Exported:
    """Write the uniform form of a LoRA into a new folder.

    Args:
        source: what PEFT saved.
        target: the folder to make.
        progress: told of the source's bytes as they are read, twice.

    Raises:
        BundleRefused: it is no plain LoRA (DoRA is none), is damaged, or its rank is over what engines serve.
    """
    with peft_folder(source) as found, new_folder(target) as folder:
        check_numbers(found.weights, found.modules.values(), progress)
        rank = served_rank(max(module.rank for module in found.modules.values()))
        modules = {name: _scaled(found, name, progress) for name in found.modules}
        types = {tensor.dtype for module in found.modules.values() for tensor in (module.a, module.b)}
        dtype = types.pop() if len(types) == 1 else "F32"
        dtype = write_lora(folder, modules, rank, dtype, found.config.task)
    return Exported(rank, dtype, len(modules))


def _scaled(found: PeftFolder, name: str, progress: Progress) -> tuple[Floats, Floats]:
    module = found.modules[name]
    a, b = read_floats(found.weights, module.a), read_floats(found.weights, module.b)
    progress(module.a.bytes + module.b.bytes)
    with np.errstate(over="ignore"):
        return a, (b.astype(np.float64) * found.config.scale(name)).astype(np.float32)
