"""Whether a model fits a card, and what then remains for its context: arithmetic, nothing is loaded.

Of the part of the card that is an engine's there go off, in this order: the weights, the slots for adapters, and an
allowance for what is neither; the rest is KV cache. With several cards (tensor parallel) weights and cache are divided
among them; adapters are counted whole on each, which is a little too much.
"""

from collections.abc import Collection

from concilium.capacity.figures import kv_a_token, quantised
from concilium.capacity.shape import ModelShape
from concilium.contracts.base import Model
from concilium.contracts.errors import Invalid
from concilium.contracts.models import ModelSpec, Precision, Profile

ALLOWANCE = 2_000_000_000
"""Bytes on each card for what is neither weights nor cache: the CUDA context, activations of one batch, CUDA graphs.
An allowance, not a figure: vLLM measures it at its start and logs the cache that was left."""
_FP8_BLOCK = 128 * 128


class Fit(Model):
    """What a profile needs of each card, in bytes unless said otherwise."""

    budget: int
    """The engine's part of the card."""
    weights: int
    loras: int
    allowance: int = ALLOWANCE
    kv_a_token: int
    context_tokens: int
    lora_slots: int
    lora_memory: int
    """Main memory, not the card's, for the adapters that are kept there."""

    @property
    def kv(self) -> int:
        """What remains for the KV cache; negative when not even the rest fits."""
        return self.budget - self.weights - self.loras - self.allowance

    @property
    def kv_tokens(self) -> int:
        """Tokens of all answers together that the cache holds."""
        return max(0, self.kv) // self.kv_a_token

    @property
    def contexts(self) -> float:
        """How many answers of the whole context the cache holds at once."""
        return self.kv_tokens / self.context_tokens

    @property
    def missing(self) -> int:
        """What is missing for one answer of the whole context; 0 when it fits."""
        return max(0, self.context_tokens * self.kv_a_token - self.kv)


def shape_of(spec: ModelSpec) -> ModelShape:
    """Return the shape of a model in ``models.yaml``. Raises `pydantic.ValidationError` when it makes no sense."""
    return ModelShape.model_validate(spec.shape)


def weight_bytes(shape: ModelShape, precision: Precision) -> int:
    """Return the bytes of the weights in one precision."""
    if precision == "bf16":
        return 2 * shape.parameters
    return quantised(shape, 4) if precision == "int4" else fp8(shape)


def fp8(shape: ModelShape) -> int:
    """Return the bytes of weights in FP8 by blocks: one byte a weight and a 16-bit scale for each 128 x 128 of them.

    Embedding, output head, norms and routers stay at 16 bits.
    """
    whole = shape.embeddings + shape.small
    inner = shape.parameters - whole
    return 2 * whole + inner + 2 * (inner // _FP8_BLOCK)


def lora_bytes(shape: ModelShape, rank: int, modules: Collection[str], bytes_each: int = 2) -> int:
    """Return the bytes of one slot for adapters: ``rank x (inputs + outputs)`` for each matrix of each module.

    Raises:
        Invalid: the model has no such module.
    """
    matrices = _matrices(shape)
    unknown = sorted(set(modules) - set(matrices))
    if unknown:
        raise Invalid(f"the model has no modules {', '.join(unknown)} for adapters; it has {', '.join(matrices)}")
    widths = sum(inputs + outputs for name in set(modules) for inputs, outputs in matrices[name])
    return shape.num_hidden_layers * rank * widths * bytes_each


def _matrices(shape: ModelShape) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return input and output widths of one layer's matrices by the name of the module they are in."""
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    found: dict[str, tuple[tuple[int, int], ...]] = {
        name: (matrix,) for name, matrix in zip(names, shape.attention_matrices, strict=True)
    }
    if shape.num_experts:
        return found | {"experts": shape.expert_matrices * shape.num_experts}
    wide = ("gate_proj", "up_proj", "down_proj")
    return found | {name: (matrix,) for name, matrix in zip(wide, shape.expert_matrices, strict=True)}


def fit(spec: ModelSpec, profile: Profile) -> Fit:
    """Return what a profile needs of each of its cards.

    Raises:
        Invalid: the cards cannot share the model, or it lacks a module that adapters shall change.
    """
    shape, cards = shape_of(spec), profile.cards
    if shape.num_attention_heads % cards:
        raise Invalid(f"{shape.num_attention_heads} attention heads cannot be divided among {cards} cards")
    loras = profile.loras
    each = lora_bytes(shape, loras.rank, loras.modules) if loras else 0
    heads = max(1, shape.num_key_value_heads // cards)
    kv = kv_a_token(shape, 1 if profile.kv_cache == "fp8" else 2) * heads // shape.num_key_value_heads
    return Fit(
        budget=round(profile.card_gb * 1e9 * profile.split["brain"]),
        weights=-(-weight_bytes(shape, profile.precision) // cards),
        loras=each * loras.slots if loras else 0,
        kv_a_token=kv,
        context_tokens=profile.context_tokens,
        lora_slots=loras.slots if loras else 0,
        lora_memory=each * loras.in_memory if loras else 0,
    )
