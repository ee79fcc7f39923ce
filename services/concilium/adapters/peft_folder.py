"""What PEFT's ``save_pretrained`` left in a folder: configuration and weights; everything else there is not read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from concilium.adapters import lora_config
from concilium.adapters.bundle import CONFIG_BYTES, WEIGHTS_BYTES
from concilium.adapters.folder import PlainFile, opened, read
from concilium.adapters.header import read_header
from concilium.adapters.lora_config import LoraConfig
from concilium.adapters.modules import LoraModule, pair
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import CONFIG, WEIGHTS


@dataclass(frozen=True)
class PeftFolder:
    """A trained LoRA.

    Attributes:
        config: its configuration.
        modules: what it changes, by the name of the base's module.
        weights: its open file of weights.
    """

    config: LoraConfig
    modules: Mapping[str, LoraModule]
    weights: PlainFile


@contextmanager
def peft_folder(folder: Path) -> Iterator[PeftFolder]:
    """Open what PEFT saved. Raises `BundleRefused` when it is not a plain LoRA in safetensors."""
    if not (folder / WEIGHTS).exists() and (folder / "adapter_model.bin").exists():
        detail = "adapter_model.bin is a pickle, reading it can run code; save with safe_serialization=True"
        raise BundleRefused(Refusal.PICKLE, detail, file="adapter_model.bin")
    config = lora_config.parse(read(folder, CONFIG, CONFIG_BYTES))
    with opened(folder, WEIGHTS, WEIGHTS_BYTES) as file:
        modules = pair(read_header(file))
        for module in modules.values():
            if module.rank != config.rank(module.name):
                detail = f"{module.name} has rank {module.rank}, {CONFIG} says {config.rank(module.name)}"
                raise BundleRefused(Refusal.RANK_MISMATCH, detail, file=WEIGHTS, module=module.name)
        yield PeftFolder(config, modules, file)
