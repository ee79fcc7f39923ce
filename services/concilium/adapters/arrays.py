"""An adapter's tensors as numpy arrays, each read when it is asked for.

bfloat16, which numpy lacks, is float32 without its lower 16 bits (the tensor types of safetensors' README).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from concilium.adapters.folder import PlainFile, Progress, silent
from concilium.adapters.header import Tensor
from concilium.adapters.modules import LoraModule
from concilium.adapters.refusals import BundleRefused, Refusal

Floats = npt.NDArray[np.float32]

_CHUNK = 2**22
_BITS: dict[str, tuple[type[np.unsignedinteger], int]] = {
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}
"""The unsigned type of the same width, and the exponent's bits: all of them set mean NaN or an infinity (IEEE 754)."""


def read_floats(file: PlainFile, tensor: Tensor) -> Floats:
    """Return a tensor as float32, which holds every value of the types taken."""
    data = file.read(tensor.begin, tensor.bytes)
    if tensor.dtype == "BF16":
        wide = np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(tensor.shape)
    found = np.frombuffer(data, "<f2" if tensor.dtype == "F16" else "<f4")
    return found.astype(np.float32).reshape(tensor.shape)


def holds(values: Floats, dtype: str) -> bool:
    """Whether a type holds each of the values exactly."""
    if dtype == "F32":
        return True
    if dtype == "BF16":
        return not np.any(np.ascontiguousarray(values).view(np.uint32) & np.uint32(0xFFFF))
    with np.errstate(over="ignore"):
        return np.array_equal(values.astype(np.float16).astype(np.float32), values)


def stored_as(values: Floats, dtype: str) -> npt.NDArray[Any]:
    """Return values as a type that holds them has them in a file; bfloat16 as its bits."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values).view(np.uint32) >> np.uint32(16)
        return bits.astype("<u2")
    return np.ascontiguousarray(values, "<f2" if dtype == "F16" else "<f4")


def check_numbers(file: PlainFile, modules: Iterable[LoraModule], progress: Progress = silent) -> None:
    """Refuse NaN and infinities anywhere, and modules whose B is zero throughout: they change nothing.

    Raises:
        BundleRefused: ``not-finite`` or ``zero-b``, with the module.
    """
    for module in modules:
        for side, tensor in (("lora_A", module.a), ("lora_B", module.b)):
            filled = False
            for bits in _bits(file, tensor):
                exponent = _BITS[tensor.dtype][1]
                if np.any((bits & exponent) == exponent):
                    detail = f"{module.name}: {side} holds NaN or an infinity; the training went astray, train again"
                    raise BundleRefused(Refusal.NOT_FINITE, detail, file=file.name, module=module.name)
                # Shifting the sign out: -0.0 is zero, too.
                filled = filled or bool(np.any(bits << 1))
                progress(bits.nbytes)
            if side == "lora_B" and not filled:
                detail = f"{module.name}: lora_B is zero throughout, so the module was not trained or not saved"
                raise BundleRefused(Refusal.ZERO_B, detail, file=file.name, module=module.name)


def _bits(file: PlainFile, tensor: Tensor) -> Iterator[npt.NDArray[np.unsignedinteger]]:
    kind = _BITS[tensor.dtype][0]
    for begin in range(tensor.begin, tensor.end, _CHUNK):
        yield np.frombuffer(file.read(begin, min(_CHUNK, tensor.end - begin)), kind)
