"""The header of a safetensors file, read with limits before any library sees the file.

Format (safetensors, "Format" in its README): eight bytes with the header's length N, little-endian; N bytes of JSON
that begin with ``{``, with a member for each tensor (``dtype``, ``shape``, ``data_offsets``) and at most one
``__metadata__`` of strings; then the tensors' bytes, which the offsets cover without gap or overlap.
"""

import re
from dataclasses import dataclass
from math import prod

from concilium.adapters import strict_json
from concilium.adapters.folder import PlainFile
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.base import JSON

HEADER_BYTES = 16 * 2**20
"""The longest header taken; the library's own limit is 100 MB."""
TENSORS_MAX = 65_536
"""Qwen3-30B-A3B has 18,867 in all its files; a LoRA on each of its experts and attention has 37,248."""
DIMENSIONS_MAX = 8
SIZE_MAX = 2**40

ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes of an item of each type."""

_VALUES_MAX = 16 * TENSORS_MAX
"""How many JSON values a header may hold: what it takes in memory follows their number, not its length."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,254}")


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: its type, its shape, and where its bytes begin and end in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def bytes(self) -> int:
        """How many bytes it has."""
        return self.end - self.begin


def read_header(file: PlainFile) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, by name, in the order of their bytes.

    Raises:
        BundleRefused: ``header-too-large``, ``bad-header``, ``bad-offsets``, ``bad-name`` or ``duplicate-member``.
    """
    if file.size < 8:
        raise _bad(file, "it has less than 8 bytes")
    length = int.from_bytes(file.read(0, 8), "little")
    if length > HEADER_BYTES:
        detail = f"{file.name} states a header of {length} bytes, {HEADER_BYTES} at most are taken"
        raise BundleRefused(Refusal.HEADER_TOO_LARGE, detail, file=file.name)
    if length > file.size - 8:
        raise _bad(file, f"it states a header of {length} bytes and has {file.size - 8}")
    text = file.read(8, length)
    if not text.startswith(b"{"):
        raise _bad(file, "its header does not begin with {")
    if sum(map(text.count, (b",", b"[", b"{"))) > _VALUES_MAX:
        raise _bad(file, f"its header holds more values than {TENSORS_MAX} tensors need")
    members = strict_json.load(text, file.name, Refusal.BAD_HEADER)
    _check_metadata(file, members.pop("__metadata__", {}))
    if not members or len(members) > TENSORS_MAX:
        raise _bad(file, f"it holds {len(members)} tensors; 1 to {TENSORS_MAX} are taken")
    start = 8 + length
    found = {name: _tensor(file, name, value, start) for name, value in members.items()}
    ordered = dict(sorted(found.items(), key=lambda item: (item[1].begin, item[1].end)))
    _check_cover(file, ordered, start)
    return ordered


def _check_metadata(file: PlainFile, value: JSON) -> None:
    if not isinstance(value, dict) or any(not isinstance(text, str) for text in value.values()):
        raise _bad(file, "its __metadata__ is not an object of strings")


def _tensor(file: PlainFile, name: str, value: JSON, start: int) -> Tensor:
    if not _NAME.fullmatch(name):
        detail = f"{file.name} names a tensor {ascii(name)[:200]}; letters, digits, _, -, / and . of ASCII are taken"
        raise BundleRefused(Refusal.BAD_NAME, detail, file=file.name)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _bad(file, f"{name} does not have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        detail = f"{file.name}: {name} has the type {ascii(dtype)[:40]}; known: {', '.join(ITEM_BYTES)}"
        raise BundleRefused(Refusal.BAD_DTYPE, detail, file=file.name)
    if not _sizes(shape) or len(shape) > DIMENSIONS_MAX:
        raise _bad(file, f"the shape of {name} is not a list of at most {DIMENSIONS_MAX} whole numbers")
    if not _sizes(offsets) or len(offsets) != 2:
        raise _offsets(file, f"those of {name} are not two whole numbers")
    begin, end = offsets
    needed = prod(shape) * ITEM_BYTES[dtype]
    if end - begin != needed:
        raise _offsets(file, f"{name} needs {needed} bytes for {dtype} {shape} and has {end - begin}")
    return Tensor(dtype, tuple(shape), start + begin, start + end)


def _sizes(value: JSON) -> bool:
    # A bool is an int to Python.
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= SIZE_MAX for item in value)


def _check_cover(file: PlainFile, tensors: dict[str, Tensor], start: int) -> None:
    """Refuse overlaps, gaps and a rest: bytes that no tensor owns can hold anything."""
    at = start
    for name, tensor in tensors.items():
        if tensor.begin != at:
            what = "overlaps the tensor before it" if tensor.begin < at else "leaves a gap before it"
            raise _offsets(file, f"{name} {what}")
        at = tensor.end
    if at != file.size:
        raise _offsets(file, f"the tensors end at byte {at}, the file at {file.size}")


def _bad(file: PlainFile, why: str) -> BundleRefused:
    return BundleRefused(Refusal.BAD_HEADER, f"{file.name} is no safetensors file: {why}", file=file.name)


def _offsets(file: PlainFile, why: str) -> BundleRefused:
    return BundleRefused(Refusal.BAD_OFFSETS, f"{file.name}, data offsets: {why}", file=file.name)
