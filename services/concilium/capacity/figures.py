"""Bytes, tokens a second and money of a model's shape. A GB is 10^9 bytes, a KiB 1024."""

from decimal import Decimal

from concilium.capacity.shape import ModelShape
from concilium.contracts.base import Model

HOURS_A_MONTH = 720
"""Thirty days: what offers by the hour are usually compared by."""
_INT4_GROUP = 128
_PAGE_BYTES = 3_300
_PAGE_CHUNKS = 1.45
_VECTOR_BYTES = 768 * 4
_HNSW_BYTES = 2 * 16 * 4
_STORE_FACTOR = 1.1


class Estimate(Model):
    """What a model needs; bytes unless said otherwise."""

    parameters: int
    bf16: int
    int8: int
    int4: int
    kv_a_token: int
    tokens: int
    kv: int
    """KV cache of ``tokens`` tokens."""
    active: dict[int, int]
    """Experts a token to active parameters; without experts the one key 1."""
    decode_ceiling: dict[int, float]
    """Experts a token to tokens a second that the memory's bandwidth allows one stream, in bf16."""
    lora_rank: int
    lora_attention: int
    lora_experts: int


def estimate(shape: ModelShape, *, tokens: int, experts: tuple[int, ...], rank: int, bandwidth_gbs: float) -> Estimate:
    """Return every figure of a shape.

    Args:
        shape: the model.
        tokens: how long a context is.
        experts: numbers of experts a token, each from 1 to the model's own number.
        rank: of a LoRA.
        bandwidth_gbs: of the card's memory, in 10^9 bytes a second.
    """
    chosen = experts if shape.num_experts else (1,)
    return Estimate(
        parameters=shape.parameters,
        bf16=2 * shape.parameters,
        int8=quantised(shape, 8),
        int4=quantised(shape, 4),
        kv_a_token=kv_a_token(shape),
        tokens=tokens,
        kv=tokens * kv_a_token(shape),
        active={count: shape.active(count) for count in chosen},
        decode_ceiling={count: round(decode_ceiling(shape, count, bandwidth_gbs), 1) for count in chosen},
        lora_rank=rank,
        lora_attention=lora_attention(shape, rank),
        lora_experts=lora_experts(shape, rank),
    )


def quantised(shape: ModelShape, bits: int) -> int:
    """Return the bytes of weights quantised as GPTQ and AWQ do it.

    Projections and experts have ``bits`` a weight, and for each group of 128 a 16-bit scale and a zero point of
    ``bits``; embedding, output head, norms and routers stay at 16 bits.
    """
    whole = shape.embeddings + shape.small
    inner = shape.parameters - whole
    return 2 * whole + (inner * bits + inner * (16 + bits) // _INT4_GROUP) // 8


def kv_a_token(shape: ModelShape, bytes_each: int = 2) -> int:
    """Return the bytes of KV cache a token: ``2 x layers x kv_heads x head_dim x bytes_each`` (a key and a value)."""
    return 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim * bytes_each


def lora_attention(shape: ModelShape, rank: int, bytes_each: int = 2) -> int:
    """Return the bytes of a LoRA on q, k, v and o: ``rank x (inputs + outputs)`` for each matrix of each layer."""
    return shape.num_hidden_layers * _lora(shape.attention_matrices, rank) * bytes_each


def lora_experts(shape: ModelShape, rank: int, bytes_each: int = 2) -> int:
    """Return the bytes of a LoRA on gate, up and down of every expert of every layer, without attention."""
    experts = max(1, shape.num_experts)
    return shape.num_hidden_layers * experts * _lora(shape.expert_matrices, rank) * bytes_each


def _lora(matrices: tuple[tuple[int, int], ...], rank: int) -> int:
    return sum(rank * (inputs + outputs) for inputs, outputs in matrices)


def decode_ceiling(shape: ModelShape, experts: int, bandwidth_gbs: float, bytes_each: int = 2) -> float:
    """Return the tokens a second that no single stream can exceed: bandwidth over the bytes read for a token.

    Those are the active parameters without the embedding, of which one row is read. Real figures are lower.
    """
    embedding = 0 if shape.tie_word_embeddings else shape.embedding
    return bandwidth_gbs * 1e9 / (bytes_each * (shape.active(experts) - embedding))


def archive_bytes(pages: int) -> int:
    """Return the bytes of an archive of texts with vectors.

    A page of 1,800 Cyrillic characters has 3.3 KB in UTF-8 and 1.45 chunks of 512 tokens; each chunk has a vector of
    768 floats and the 32 links of HNSW's lowest level (M = 16); a tenth is added for ids, payload and segments.
    """
    chunks = pages * _PAGE_CHUNKS
    return round(_STORE_FACTOR * (pages * _PAGE_BYTES + chunks * (_VECTOR_BYTES + _HNSW_BYTES)))


def month_cost(per_hour: Decimal, hours: int = HOURS_A_MONTH) -> Decimal:
    """Return what an offer by the hour costs a month of that many hours, rented all the time."""
    return per_hour * hours
