"""The reference figures of Qwen3-30B-A3B and of offers by the hour come out of the formulae."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from concilium.capacity import QWEN3_30B_A3B, ModelShape, archive_bytes, estimate, month_cost, read_shape
from concilium.capacity.figures import decode_ceiling, kv_a_token
from concilium.contracts.errors import Invalid

FIGURES = estimate(QWEN3_30B_A3B, tokens=90_000, experts=(1, 8, 10, 12, 16, 128), rank=16, bandwidth_gbs=1792)


@pytest.mark.parametrize(
    ("computed", "reference", "digits"),
    [
        (FIGURES.parameters / 1e9, 30.53, 2),
        (FIGURES.bf16 / 1e9, 61.1, 1),
        (FIGURES.int4 / 1e9, 17, 0),
        (FIGURES.kv_a_token / 1024, 96, 6),
        (FIGURES.active[1] / 1e9, 1.77, 2),
        (FIGURES.active[8] / 1e9, 3.35, 2),
        (FIGURES.active[10] / 1e9, 3.81, 2),
        (FIGURES.active[16] / 1e9, 5.16, 2),
        (FIGURES.active[128] / 1e9, 30.5, 1),
        (FIGURES.lora_attention / 1e6, 27, 0),
        (FIGURES.lora_experts / 1e9, 1.66, 2),
        (FIGURES.decode_ceiling[8], 295, 0),
        (FIGURES.decode_ceiling[12], 227, 0),
        (FIGURES.decode_ceiling[16], 185, 0),
        (QWEN3_30B_A3B.expert / 1e6, 4.72, 2),
        (QWEN3_30B_A3B.expert * 48 / 1e6, 226, 0),
        (QWEN3_30B_A3B.active(0) / 1e9, 1.54, 2),
    ],
)
def test_the_reference_figures_are_reproduced(computed: float, reference: float, digits: int) -> None:
    assert round(computed, digits) == reference


@pytest.mark.parametrize(
    ("tokens", "reference_gb"),
    [(2**15, 3.2), (2**16, 6.4), (2**17, 12.9), (2**18, 25.8), (300_000, 29.5), (10**6, 98.3), (2 * 10**6, 196.6)],
)
def test_the_kv_cache_of_a_context_is_as_stated(tokens: int, reference_gb: float) -> None:
    assert round(tokens * kv_a_token(QWEN3_30B_A3B) / 1e9, 1) == reference_gb


def test_ninety_thousand_tokens_need_8_85_gb_which_the_reference_rounds_up() -> None:
    assert FIGURES.kv == 8_847_360_000
    assert round(FIGURES.kv / 1e9, 2) == 8.85
    assert -(-FIGURES.kv // 10**8) / 10 == 8.9


@pytest.mark.parametrize(("per_hour", "month"), [("0.69", 497), ("0.35", 252), ("0.18", 130)])
def test_an_offer_by_the_hour_costs_its_reference_a_month(per_hour: str, month: int) -> None:
    assert round(month_cost(Decimal(per_hour))) == month


def test_a_million_pages_with_vectors_need_8_to_10_gb() -> None:
    assert 8e9 < archive_bytes(10**6) < 10e9


def test_the_cache_does_not_depend_on_experts_and_more_experts_cost_no_memory() -> None:
    more = QWEN3_30B_A3B.model_copy(update={"num_experts_per_tok": 16})
    assert more.parameters == QWEN3_30B_A3B.parameters
    assert kv_a_token(more) == kv_a_token(QWEN3_30B_A3B)
    assert decode_ceiling(more, 16, 1792) > decode_ceiling(QWEN3_30B_A3B, 8, 1792) * 0.62


def test_a_dense_model_is_counted_too() -> None:
    """Qwen3-0.6B: 28 layers of 1024, tied embeddings: 0.6 billion, 0.44 of them outside the embedding."""
    small = ModelShape(
        hidden_size=1024,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        vocab_size=151_936,
        intermediate_size=3072,
        tie_word_embeddings=True,
    )
    assert small.parameters == small.active() == 596_049_920
    assert round((small.parameters - small.embedding) / 1e9, 2) == 0.44


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden_size": 0}, "hidden_size"),
        ({"vocab_size": None}, "vocab_size"),
        ({"num_experts": 128, "moe_intermediate_size": 0}, "moe_intermediate_size"),
        ({"num_experts_per_tok": 129}, "num_experts_per_tok"),
        ({"num_experts": 0, "num_experts_per_tok": 0}, "intermediate_size"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_by_name(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(QWEN3_30B_A3B.model_dump() | {"architectures": ["Qwen3MoeForCausalLM"]}))
    assert read_shape(path) == QWEN3_30B_A3B
    path.write_text(json.dumps(QWEN3_30B_A3B.model_dump() | change))
    with pytest.raises(Invalid, match=named):
        read_shape(path)
    path.write_text("{")
    with pytest.raises(Invalid, match="not JSON"):
        read_shape(path)
    with pytest.raises(Invalid, match="No such file"):
        read_shape(tmp_path / "none.json")
