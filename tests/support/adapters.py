"""Tiny base models, trained LoRAs and bundles, made with numpy in milliseconds."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from concilium.adapters.base_model import BaseModelFacts, read_base
from concilium.adapters.bundle import Bundle
from concilium.adapters.pack import Papers, pack
from concilium.contracts.adapters import CONFIG, MANIFEST, WEIGHTS, AdapterFacts

Array = npt.NDArray[Any]
TYPES = {"float32": "F32", "float16": "F16", "uint16": "BF16"}
"""Type names in a file; numpy has no bfloat16: its bits are given as uint16."""
ATTENTION = ("self_attn.q_proj", "self_attn.v_proj")


@dataclass(frozen=True)
class Shape:
    """The shape of a Qwen3 or, with experts, a Qwen3-MoE model."""

    hidden: int = 32
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 8
    middle: int = 48
    layers: int = 2
    vocab: int = 64
    experts: int = 0

    @property
    def architecture(self) -> str:
        return "Qwen3MoeForCausalLM" if self.experts else "Qwen3ForCausalLM"

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return the shape of each linear layer, (out, in), by module."""
        wide, narrow = self.heads * self.head_dim, self.kv_heads * self.head_dim
        block = {"q_proj": (wide, self.hidden), "k_proj": (narrow, self.hidden), "v_proj": (narrow, self.hidden)}
        inner = {f"self_attn.{name}": shape for name, shape in {**block, "o_proj": (self.hidden, wide)}.items()}
        feeds = [f"mlp.experts.{expert}" for expert in range(self.experts)] or ["mlp"]
        for feed in feeds:
            inner |= {f"{feed}.{name}": (self.middle, self.hidden) for name in ("gate_proj", "up_proj")}
            inner[f"{feed}.down_proj"] = (self.hidden, self.middle)
        return {f"model.layers.{at}.{name}": shape for at in range(self.layers) for name, shape in inner.items()}

    def config(self) -> dict[str, Any]:
        """Return what its ``config.json`` says."""
        moe = {"num_experts": self.experts, "num_experts_per_tok": 2, "moe_intermediate_size": self.middle}
        return {
            "architectures": [self.architecture],
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.middle,
            "vocab_size": self.vocab,
            **(moe if self.experts else {}),
        }


DENSE = Shape()
OTHER = Shape(hidden=40, heads=6)
MOE = Shape(experts=4, middle=16)


def write_safetensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write a safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    write_raw(path, json.dumps(header).encode(), b"".join(array.tobytes() for array in tensors.values()))


def write_raw(path: Path, header: bytes, data: bytes, length: int | None = None) -> None:
    """Write a header and data as they are, damaged or not; ``length`` is what the file says of its header."""
    path.write_bytes((len(header) if length is None else length).to_bytes(8, "little") + header + data)


def make_base(folder: Path, shape: Shape = DENSE, seed: int = 0) -> BaseModelFacts:
    """Write a base model with random weights and return its facts."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(shape.config()))
    sizes = {**shape.matrices(), "model.embed_tokens": (shape.vocab, shape.hidden)}
    tensors = {f"{name}.weight": random.standard_normal(size, np.float32) for name, size in sizes.items()}
    tensors["model.norm.weight"] = np.ones(shape.hidden, np.float32)
    write_safetensors(folder / "model.safetensors", tensors)
    return read_base(folder)


def lora_arrays(
    shape: Shape = DENSE,
    rank: int = 4,
    targets: Iterable[str] = ATTENTION,
    seed: int = 0,
    ranks: Mapping[str, int] | None = None,
) -> dict[str, Array]:
    """Return a LoRA's float32 tensors, by the names that PEFT gives them.

    Args:
        shape: of the base model.
        rank: of modules that ``ranks`` does not name.
        targets: the modules, by the ends of their names.
        seed: of the numbers.
        ranks: other ranks, by the full names of modules.
    """
    random = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for module, (out, into) in shape.matrices().items():
        if module.endswith(tuple(targets)):
            own = (ranks or {}).get(module, rank)
            found[f"base_model.model.{module}.lora_A.weight"] = random.standard_normal((own, into), np.float32)
            found[f"base_model.model.{module}.lora_B.weight"] = random.standard_normal((out, own), np.float32)
    return found


def peft_config(**changes: Any) -> dict[str, Any]:
    """Return a configuration as PEFT writes it for a plain LoRA of rank 4, with changes."""
    plain = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "Qwen/Qwen3-30B-A3B",
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "loftq_config": {},
        "megatron_core": "megatron.core",
        "modules_to_save": None,
        "qalora_group_size": 16,
        "r": 4,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": ["q_proj", "v_proj"],
        "use_dora": False,
        "use_rslora": False,
    }
    return plain | changes


def make_peft(folder: Path, tensors: Mapping[str, Array] | None = None, **changes: Any) -> Path:
    """Write what PEFT's ``save_pretrained`` leaves, and return the folder."""
    folder.mkdir(parents=True)
    found = lora_arrays(rank=changes.get("r", 4)) if tensors is None else tensors
    (folder / CONFIG).write_text(json.dumps(peft_config(**changes)))
    write_safetensors(folder / WEIGHTS, found)
    return folder


def reseal(folder: Path, **changes: Any) -> None:
    """Write the manifest anew for the files as they are, as somebody would who knows the format.

    Args:
        folder: the bundle.
        changes: to members of the manifest.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name in manifest["files"]:
        if (folder / name).is_file():
            data = (folder / name).read_bytes()
            manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")


def replace_weights(folder: Path, tensors: Mapping[str, Array]) -> None:
    """Put other tensors into a bundle, and seal it."""
    write_safetensors(folder / WEIGHTS, tensors)
    reseal(folder, bytes=sum(array.nbytes for array in tensors.values()))


def replace_config(folder: Path, **changes: Any) -> None:
    """Change members of a bundle's configuration, and seal it."""
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | changes))
    reseal(folder)


def facts(name: str = "sport", version: str = "1.2.0", **more: Any) -> AdapterFacts:
    """Return what a maker says of an adapter."""
    return AdapterFacts(id=name, version=version, capability="topic.sport", **more)


def make_bundle(
    folder: Path, base: BaseModelFacts, said: AdapterFacts | None = None, tensors: Any = None, **changes: Any
) -> Bundle:
    """Pack a valid bundle into a folder.

    Args:
        folder: to make.
        base: the model it is for.
        said: what its maker says of it.
        tensors: of the LoRA; None: random ones of rank 4 for a base of the default shape.
        changes: to PEFT's configuration.
    """
    source = make_peft(folder.with_name(f"{folder.name}.peft"), tensors, **changes)
    license_file = source / "LICENSE"
    license_file.write_text("CC0 1.0 Universal\n")
    bundle = pack(source, folder, said or facts(), base, Papers(license_file))
    shutil.rmtree(source)
    return bundle
