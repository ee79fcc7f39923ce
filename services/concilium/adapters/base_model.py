"""Which base model a folder holds, so that an adapter never meets another.

A fingerprint has two parts, both SHA-256:

- ``shapes``, always: over the architecture, the sizes in ``config.json``, and name, type and shape of every tensor,
  from the headers of all safetensors files. That is a few megabytes of reading, whatever the model's size. It tells
  apart models of other sizes, layouts and types, however the files are cut. It does not tell apart two models of one
  shape, such as a base and its fine-tune.
- ``weights``, where the folder has ``SHA256SUMS``: over the checksums of the weights' files. It tells apart any two
  sets of files. It believes the list: who fetched the files has checked them against it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from concilium.adapters import strict_json
from concilium.adapters.folder import opened
from concilium.adapters.header import Tensor, read_header
from concilium.adapters.modules import LoraModule, natural
from concilium.adapters.refusals import BundleRefused, Refusal
from concilium.contracts.adapters import BaseFingerprint
from concilium.contracts.base import JSON

SUMS = "SHA256SUMS"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_SIZES = (
    "head_dim", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_attention_heads", "num_experts",
    "num_experts_per_tok", "num_hidden_layers", "num_key_value_heads", "tie_word_embeddings", "vocab_size",
)  # fmt: skip
_TEXT_BYTES = 32 * 2**20
_SHARD_BYTES = 2**43
_SHARDS_MAX = 1024
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors")
_SUM = re.compile(r"([0-9a-f]{64}) [ *]([^/\n]+)")
_NOT_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class BaseModelFacts:
    """What is known of a base model.

    Attributes:
        fingerprint: which one it is.
        weights: shape of each linear layer's matrix, (out, in), by the name of its module.
    """

    fingerprint: BaseFingerprint
    weights: Mapping[str, tuple[int, int]]


def read_base(folder: Path) -> BaseModelFacts:
    """Return the facts of the base model in a folder, from its configuration and the headers of its files.

    Raises:
        BundleRefused: ``bad-base``, or a refusal of one of its files.
    """
    folder = folder.resolve()
    config = strict_json.load(_read(folder, "config.json"), "config.json")
    shards = _shards(folder)
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        with opened(folder, shard, _SHARD_BYTES, links=True) as file:
            for name, tensor in read_header(file).items():
                if name in tensors:
                    raise _bad(f"{name} is in {shard} and in another file")
                tensors[name] = tensor
    architecture = _architecture(config)
    try:
        fingerprint = BaseFingerprint(
            name=_NOT_NAME.sub("-", folder.name).lstrip("._-") or "base",
            architecture=architecture,
            shapes=_hash_shapes(architecture, config, tensors),
            weights=_hash_weights(folder, shards),
        )
    except ValidationError as error:
        raise _bad(f"config.json names the architecture {ascii(architecture)[:60]}") from error
    return BaseModelFacts(fingerprint, dict(_matrices(tensors)))


def check_base(made_for: BaseFingerprint, modules: Iterable[LoraModule], base: BaseModelFacts) -> None:
    """Refuse an adapter that was made for another base model, or that changes modules it does not have.

    Raises:
        BundleRefused: ``base-mismatch`` with the first differing module and both shapes, ``unknown-module`` or
            ``shape-mismatch``.
    """
    here = base.fingerprint
    other = made_for.architecture != here.architecture or made_for.shapes != here.shapes
    modules = list(modules)
    # A module of another shape says more than one that is absent.
    for module in sorted(modules, key=lambda one: (one.name not in base.weights, natural(one.name))):
        there = base.weights.get(module.name)
        if there != module.shape:
            raise _differs(made_for, here, module, there, other=other)
    if other:
        detail = (
            f"made for {made_for.name} ({made_for.architecture}); {here.name} ({here.architecture}) differs elsewhere"
        )
        raise BundleRefused(Refusal.BASE_MISMATCH, f"{detail} than in the modules it changes")
    if made_for.weights and here.weights and made_for.weights != here.weights:
        detail = f"made for {made_for.name}; {here.name} has the same shapes and other weights"
        raise BundleRefused(Refusal.BASE_MISMATCH, detail)


def _differs(
    made_for: BaseFingerprint, here: BaseFingerprint, module: LoraModule, there: tuple[int, int] | None, *, other: bool
) -> BundleRefused:
    shapes = f"is {module.shape} in the adapter and {there or 'absent'} in {here.name} (out, in)"
    if other:
        detail = (
            f"made for {made_for.name} ({made_for.architecture}), not {here.name} ({here.architecture}): {module.name}"
        )
        return BundleRefused(Refusal.BASE_MISMATCH, f"{detail} {shapes}", module=module.name)
    code = Refusal.UNKNOWN_MODULE if there is None else Refusal.SHAPE_MISMATCH
    return BundleRefused(code, f"{module.name} {shapes}", module=module.name)


def _shards(folder: Path) -> list[str]:
    """Return the names of the weights' files."""
    if not (folder / INDEX).is_file():
        return [SINGLE]
    found = strict_json.load(_read(folder, INDEX), INDEX).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise _bad(f"{INDEX} has no weight_map")
    shards = sorted({str(name) for name in found.values()})
    strange = [name for name in shards if not _SHARD.fullmatch(name)]
    if strange or len(shards) > _SHARDS_MAX:
        raise _bad(f"{INDEX} names {ascii(strange[0])[:80] if strange else len(shards)} as files of weights")
    return shards


def _architecture(config: Mapping[str, JSON]) -> str:
    found = config.get("architectures")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        raise _bad("config.json does not name one architecture")
    return found[0]


def _matrices(tensors: Mapping[str, Tensor]) -> Iterable[tuple[str, tuple[int, int]]]:
    for name, tensor in tensors.items():
        module = name.removesuffix(".weight")
        if module != name and len(tensor.shape) == 2 and "embed" not in module.rsplit(".", 1)[-1]:
            yield module, (tensor.shape[0], tensor.shape[1])


def _hash_shapes(architecture: str, config: Mapping[str, JSON], tensors: Mapping[str, Tensor]) -> str:
    inner = config.get("text_config")
    parts = [config, inner if isinstance(inner, dict) else {}]
    sizes = [{name: part[name] for name in _SIZES if part.get(name) is not None} for part in parts]
    layout = sorted((name, tensor.dtype, tensor.shape) for name, tensor in tensors.items())
    return hashlib.sha256(strict_json.dump(["shapes 1", architecture, sizes, layout])).hexdigest()


def _hash_weights(folder: Path, shards: Iterable[str]) -> str | None:
    if not (folder / SUMS).is_file():
        return None
    text = _read(folder, SUMS).decode("utf-8", "replace")
    sums = {found[2]: found[1] for found in map(_SUM.fullmatch, text.splitlines()) if found}
    missing = [shard for shard in shards if shard not in sums]
    if missing:
        raise _bad(f"{SUMS} has no line for {missing[0]}; write it anew with `sha256sum *.safetensors`")
    return hashlib.sha256(strict_json.dump(["weights 1", [[shard, sums[shard]] for shard in shards]])).hexdigest()


def _read(folder: Path, name: str) -> bytes:
    with opened(folder, name, _TEXT_BYTES, links=True) as file:
        return file.read(0, file.size)


def _bad(why: str) -> BundleRefused:
    return BundleRefused(Refusal.BAD_BASE, f"the base model cannot be read: {why}")
