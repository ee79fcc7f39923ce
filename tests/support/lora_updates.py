"""What an adapter adds to each weight, worked out from its files by other means than the code under test."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from concilium.adapters.bundle import Bundle

Updates = dict[str, np.ndarray[Any, Any]]


def updates(tensors: Mapping[str, np.ndarray[Any, Any]], config: Mapping[str, Any]) -> Updates:
    """Return ``scale · B · A`` of each module in float64, by PEFT's rules (``peft.utils.other.get_pattern_key``)."""
    found: Updates = {}
    for name, a in tensors.items():
        if ".lora_A." not in name:
            continue
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        b = tensors[name.replace("lora_A", "lora_B")]
        alpha = float(_matching(config["alpha_pattern"], module, config["lora_alpha"]))
        rank = int(_matching(config["rank_pattern"], module, config["r"]))
        scale = alpha / (rank**0.5 if config["use_rslora"] else rank)
        found[module] = scale * (b.astype(np.float64) @ a.astype(np.float64))
    return found


def of_bundle(bundle: Bundle) -> Updates:
    """Return the updates of a bundle with float32 or float16 tensors."""
    config = {"lora_alpha": bundle.config.alpha, "r": bundle.config.r, "use_rslora": False}
    tensors = load_file(bundle.folder / "adapter_model.safetensors")
    return updates(tensors, {**config, "alpha_pattern": {}, "rank_pattern": {}})


def apart(one: Updates, other: Updates) -> float:
    """Return the largest difference, relative to the largest value."""
    assert one.keys() == other.keys()
    largest = max(float(np.abs(value).max()) for value in one.values())
    return max(float(np.abs(one[name] - other[name]).max()) for name in one) / largest


def here(folder: Path) -> Updates:
    """Return the updates of what PEFT or the export wrote."""
    return updates(
        load_file(folder / "adapter_model.safetensors"), json.loads((folder / "adapter_config.json").read_text())
    )


def _matching(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), default)
