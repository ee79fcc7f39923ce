"""Reads adapters from disk: PEFT's layout, safetensors only, one rank and one scale for all modules."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from concilium.engine.embedded.lora import Adapter, Pair
from concilium.engine.embedded.refusal import Refusal, invalid

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")
_UNSERVED = {
    "use_dora": "DoRA",
    "rank_pattern": "ranks that differ by module",
    "alpha_pattern": "scales that differ by module",
    "modules_to_save": "whole modules beside LoRA",
    "lora_bias": "biases",
    "target_parameters": "fused expert parameters",
    "fan_in_fan_out": "transposed weights",
}
"""Settings of ``adapter_config.json`` that change the meaning of the matrices."""


@dataclass(frozen=True)
class Base:
    """What adapters must fit."""

    modules: Mapping[str, tuple[int, int]]
    """The (out, in) of each linear layer of the base model, by name."""
    dtype: torch.dtype
    device: str


def read_adapter(name: str, folder: Path, base: Base, room: int) -> Adapter:
    """Return the adapter in a folder.

    Args:
        name: what it is served as.
        folder: with ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: the model it is for.
        room: bytes it may take.

    Raises:
        Refusal: 404 when the folder or a file is not there; 400 when it does not fit this model or is damaged.
    """
    raw_config, raw_weights = _read(folder / CONFIG, room), _read(folder / WEIGHTS, room)
    rank, scale = _rank_and_scale(raw_config)
    try:
        tensors = load(raw_weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _unfit(f"{WEIGHTS} is no safetensors file: {error}") from error
    digest = hashlib.sha256(hashlib.sha256(raw_config).digest() + hashlib.sha256(raw_weights).digest()).hexdigest()
    sides = _sides(tensors)
    pairs = {
        module: _pair(module, sides.get((module, "A")), sides.get((module, "B")), base.modules, rank)
        for module in sorted({module for module, _ in sides})
    }
    return Adapter(name, str(folder), digest, {module: _ready(*each, scale, base) for module, each in pairs.items()})


def _ready(down: torch.Tensor, up: torch.Tensor, scale: float, base: Base) -> Pair:
    scaled = up.float() * scale
    return Pair(*(each.t().to(base.device, base.dtype).contiguous() for each in (down, scaled)))


def _read(path: Path, room: int) -> bytes:
    try:
        size = path.stat().st_size
        if size <= room:
            return path.read_bytes()
    except OSError as error:
        raise Refusal(
            404, f"No adapter found: {path} cannot be read", "adapter_not_found", param="lora_path"
        ) from error
    detail = f"{path} has {size} bytes and there is room for {room}: unload an adapter, or raise --adapter-mib"
    raise invalid(detail, "no_room", "lora_path")


def _unfit(message: str) -> Refusal:
    return invalid(message, "adapter_unfit", "lora_path")


def _rank_and_scale(raw: bytes) -> tuple[int, float]:
    try:
        config: Any = json.loads(raw)
        kind, rank, alpha = config["peft_type"], config["r"], config["lora_alpha"]
    except (ValueError, KeyError, TypeError) as error:
        raise _unfit(f"{CONFIG} is no configuration of a LoRA adapter") from error
    if kind != "LORA":
        raise _unfit(f"{CONFIG}: peft_type {kind!r} is not served, LORA is")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise _unfit(f"{CONFIG}: r must be a positive integer")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise _unfit(f"{CONFIG}: lora_alpha must be a number")
    for setting, told in _UNSERVED.items():
        if config.get(setting):
            raise _unfit(f"{CONFIG}: {setting}: {told} are not served")
    if config.get("bias", "none") != "none":
        raise _unfit(f"{CONFIG}: biases are not served")
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _sides(tensors: Mapping[str, torch.Tensor]) -> dict[tuple[str, str], torch.Tensor]:
    """Return the matrices by module and side."""
    found = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise _unfit(f"tensor {key} is not served: only lora_A and lora_B of linear layers are")
        found[match["module"], match["side"]] = tensor
    if not found:
        raise _unfit(f"{WEIGHTS} holds no tensors")
    return found


def _pair(
    module: str,
    down: torch.Tensor | None,
    up: torch.Tensor | None,
    modules: Mapping[str, tuple[int, int]],
    rank: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    if module not in modules:
        raise _unfit(f"the base model has no linear layer {module} that adapters may change")
    if down is None or up is None:
        raise _unfit(f"{module} has only one of lora_A and lora_B")
    wide, deep = modules[module]
    for side, tensor, wanted in (("A", down, (rank, deep)), ("B", up, (wide, rank))):
        if tuple(tensor.shape) != wanted:
            shape = list(tensor.shape)
            raise _unfit(f"{module}: lora_{side} has shape {shape}, the base model and r = {rank} need {list(wanted)}")
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise _unfit(f"{module}: lora_{side} holds what is not a finite number")
    return down, up
