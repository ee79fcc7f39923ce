"""What fits a card: the reference figures of Qwen3-30B-A3B come out of the formulae, and the shares of a card hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from concilium.capacity import ALLOWANCE, QWEN3_30B_A3B, fit, lora_bytes, shape_of, weight_bytes
from concilium.contracts.errors import Invalid
from concilium.contracts.models import ModelSpec, Profile
from concilium.contracts.modes import ModelsConfig, parse_models
from concilium.home import shipped

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.fixture(scope="module")
def models() -> ModelsConfig:
    return parse_models((shipped("configs") / "models.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def spec(models: ModelsConfig) -> ModelSpec:
    return models.models["qwen3-30b-a3b"]


def made(models: ModelsConfig, name: str, **changes: Any) -> Profile:
    return Profile.model_validate(models.profiles[name].model_dump() | changes)


def test_the_file_has_the_shape_that_the_reference_has(spec: ModelSpec) -> None:
    assert shape_of(spec) == QWEN3_30B_A3B


@pytest.mark.parametrize(
    ("computed", "reference", "digits"),
    [
        (weight_bytes(QWEN3_30B_A3B, "bf16") / 1e9, 61.1, 1),
        (weight_bytes(QWEN3_30B_A3B, "fp8") / 1e9, 31.2, 1),
        (weight_bytes(QWEN3_30B_A3B, "int4") / 1e9, 17, 0),
        (lora_bytes(QWEN3_30B_A3B, 16, ATTENTION) / 1e6, 27, 0),
        (lora_bytes(QWEN3_30B_A3B, 16, ["experts"]) / 1e9, 1.66, 2),
    ],
)
def test_the_reference_figures_come_out(computed: float, reference: float, digits: int) -> None:
    assert round(computed, digits) == reference


@pytest.mark.parametrize("name", ["qwen3-96gb", "qwen3-96gb-shared", "qwen3-48gb", "qwen3-24gb", "qwen3-2x24gb"])
def test_it_fits_cards_of_24_gb_and_more_with_a_whole_context(models: ModelsConfig, spec: ModelSpec, name: str) -> None:
    found = fit(spec, models.profiles[name])
    assert found.missing == 0
    assert found.contexts >= 1
    assert found.weights + found.loras + ALLOWANCE + found.kv == found.budget


def test_it_does_not_fit_16_gb_in_any_precision(models: ModelsConfig, spec: ModelSpec) -> None:
    for precision in spec.weights:
        found = fit(spec, made(models, "qwen3-16gb", precision=precision, loras=None, context_tokens=1))
        assert found.kv < 0
        assert found.missing > weight_bytes(QWEN3_30B_A3B, precision) - 16e9


def test_two_cards_halve_weights_and_cache_and_each_keeps_the_adapters(models: ModelsConfig, spec: ModelSpec) -> None:
    one = fit(spec, made(models, "qwen3-2x24gb", cards=1))
    two = fit(spec, models.profiles["qwen3-2x24gb"])
    assert two.weights == pytest.approx(one.weights / 2, abs=1)
    assert two.kv_a_token * 2 == one.kv_a_token
    assert two.loras == one.loras


def test_a_cache_of_8_bits_holds_twice_the_tokens(models: ModelsConfig, spec: ModelSpec) -> None:
    wide, narrow = (fit(spec, made(models, "qwen3-24gb", kv_cache=kind)) for kind in ("auto", "fp8"))
    assert wide.kv_a_token == 96 * 1024
    assert narrow.kv_tokens // 2 == wide.kv_tokens


def test_more_cards_than_divide_the_heads_are_refused(models: ModelsConfig, spec: ModelSpec) -> None:
    with pytest.raises(Invalid, match="32 attention heads cannot be divided among 5 cards"):
        fit(spec, made(models, "qwen3-24gb", cards=5))


def test_adapters_for_modules_that_the_model_lacks_are_refused(models: ModelsConfig, spec: ModelSpec) -> None:
    loras = {"slots": 1, "in_memory": 1, "rank": 16, "modules": ["gate_proj"]}
    with pytest.raises(Invalid, match=r"no modules gate_proj .*experts"):
        fit(spec, made(models, "qwen3-24gb", loras=loras))


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"brain": 0.6, "vision": 0.2, "training": 0.21}, r"are 1.01 of the card"),
        ({"vision": 0.5}, "no part for the brain"),
    ],
)
def test_parts_of_a_card_that_make_no_sense_are_refused(
    models: ModelsConfig, split: dict[str, float], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        made(models, "qwen3-48gb", split=split)


def test_every_split_in_the_file_leaves_something_for_the_driver(models: ModelsConfig) -> None:
    for name, profile in models.profiles.items():
        assert sum(profile.split.values()) <= 0.97, name
    assert set(models.profiles["qwen3-96gb-shared"].split) == {"brain", "vision", "speech", "training"}
