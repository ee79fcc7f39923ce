"""Which modules of a base model an adapter changes, from the names and shapes of its tensors.

PEFT names them ``base_model.model.<module>.lora_A.weight``, of shape (rank, in), and ``….lora_B.weight``, of shape
(out, rank).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from concilium.adapters.header import Tensor
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import WEIGHTS

FLOATS = ("F32", "F16", "BF16")
_LORA = re.compile(r"base_model\.model\.(?P<module>[A-Za-z0-9_][A-Za-z0-9_.]*)\.lora_(?P<side>[AB])\.weight")
_DIGITS = re.compile(r"([0-9]+)")
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class LoraModule:
    """A module with its two tensors: its weight gains ``scale · B · A``."""

    name: str
    a: Tensor
    b: Tensor

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight that it changes: (out, in)."""
        return self.b.shape[0], self.a.shape[1]


def tensor_names(module: str) -> tuple[str, str]:
    """Return the names of a module's A and B."""
    return f"{_PREFIX}{module}.lora_A.weight", f"{_PREFIX}{module}.lora_B.weight"


def natural(name: str) -> list[tuple[int, int | str]]:
    """Return what names are sorted by, with numbers by their value: layer 2 before layer 10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in _DIGITS.split(name) if part]


def pair(tensors: Mapping[str, Tensor]) -> dict[str, LoraModule]:
    """Return the modules that an adapter's tensors change, by name, in natural order.

    Raises:
        BundleRefused: a tensor is none of a LoRA's, lacks its other half, or does not fit it.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        matched = _LORA.fullmatch(name)
        if matched is None:
            raise _stranger(name)
        if tensor.dtype not in FLOATS:
            detail = f"{name} is of type {tensor.dtype}; {', '.join(FLOATS)} are taken"
            raise BundleRefused(Refusal.BAD_DTYPE, detail, file=WEIGHTS, module=matched["module"])
        found.setdefault(matched["module"], {})[matched["side"]] = tensor
    return {name: _module(name, found[name]) for name in sorted(found, key=natural)}


def _module(name: str, sides: Mapping[str, Tensor]) -> LoraModule:
    if set(sides) != {"A", "B"}:
        missing = "B" if "A" in sides else "A"
        detail = f"{name} has no lora_{missing}: the file is cut or was put together by hand; save the adapter again"
        raise BundleRefused(Refusal.UNPAIRED, detail, file=WEIGHTS, module=name)
    a, b = sides["A"], sides["B"]
    if len(a.shape) != 2 or len(b.shape) != 2 or 0 in (*a.shape, *b.shape):
        detail = (
            f"{name}: lora_A {a.shape} and lora_B {b.shape} are not two filled matrices; only linear layers are taken"
        )
        raise BundleRefused(Refusal.UNSUPPORTED, detail, file=WEIGHTS, module=name)
    if a.shape[0] != b.shape[1]:
        detail = f"{name}: lora_A {a.shape} has rank {a.shape[0]}, lora_B {b.shape} has {b.shape[1]}"
        raise BundleRefused(Refusal.RANK_MISMATCH, detail, file=WEIGHTS, module=name)
    return LoraModule(name, a, b)


def _stranger(name: str) -> BundleRefused:
    """Return the refusal of a tensor that is not a LoRA matrix of a linear layer."""
    if "lora_magnitude_vector" in name:
        return dora(name)
    if ".lora_" in name:
        detail = f"{name} is not a LoRA matrix of a linear layer (embeddings, biases and variants are not taken)"
        return BundleRefused(Refusal.UNSUPPORTED, detail, file=WEIGHTS, module=name)
    detail = (
        f"{name} is a whole weight (modules_to_save, an embedding, trained tokens): "
        "it would replace the base's for everybody. Train without it"
    )
    return BundleRefused(Refusal.MODULES_TO_SAVE, detail, file=WEIGHTS, module=name)


def dora(where: str) -> BundleRefused:
    """Return the refusal of DoRA."""
    detail = (
        f"{where}: DoRA rescales each row of the base's weight by a norm that depends on that weight, so no LoRA "
        "equals it and it cannot be exported. Train without use_dora, or merge it into a base model of its own"
    )
    return BundleRefused(Refusal.DORA, detail)
