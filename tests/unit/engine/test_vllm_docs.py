"""Every figure of docs/engine-vllm.md comes out of the code."""

import re
from pathlib import Path

import pytest

from concilium.capacity import QWEN3_30B_A3B, estimate, lora_bytes, weight_bytes
from concilium.capacity.figures import kv_a_token
from concilium.cli.commands.engine import profile_row
from concilium.contracts.modes import ModelsConfig, parse_models
from concilium.engine import flags, profiles
from concilium.engine.loading import ALMOST
from concilium.home import shipped

PAGE = Path("docs/engine-vllm.md").read_text(encoding="utf-8")
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FIGURES = estimate(QWEN3_30B_A3B, tokens=90_000, experts=(8,), rank=16, bandwidth_gbs=1792)


@pytest.fixture(scope="module")
def models() -> ModelsConfig:
    return parse_models((shipped("configs") / "models.yaml").read_text(encoding="utf-8"))


def test_the_table_of_profiles_is_what_the_command_prints(models: ModelsConfig) -> None:
    rows = []
    for name in models.profiles:
        *shown, contexts, fits = profile_row(profiles.choose(models, name))
        rows.append([f"`{shown[0]}`", *shown[1:], contexts if fits == "fits" else fits])
    table = PAGE.partition("<!-- profiles -->")[2].partition("<!-- /profiles -->")[0].strip().splitlines()[2:]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in table] == rows


@pytest.mark.parametrize(
    "figure",
    [
        f"{QWEN3_30B_A3B.parameters / 1e9:.2f} billion parameters",
        f"{weight_bytes(QWEN3_30B_A3B, 'bf16') / 1e9:.1f} GB in bf16",
        f"{weight_bytes(QWEN3_30B_A3B, 'fp8') / 1e9:.1f} GB in FP8",
        f"{weight_bytes(QWEN3_30B_A3B, 'int4') / 1e9:.1f} GB in int4",
        f"{kv_a_token(QWEN3_30B_A3B) / 1024:g} KiB, {kv_a_token(QWEN3_30B_A3B, 1) / 1024:g} KiB in FP8",
        f"| 90,000 tokens | {FIGURES.kv / 1e9:.3f} GB",
        f"| a slot, rank 16, attention | {lora_bytes(QWEN3_30B_A3B, 16, ATTENTION) / 1e6:.0f} MB",
        f"| a slot, rank 16, all experts | {lora_bytes(QWEN3_30B_A3B, 16, ['experts']) / 1e9:.2f} GB",
        f"vLLM {flags.shipped().version} kept in the package",
        f"({ALMOST} % from the last weights",
    ],
)
def test_a_figure_in_the_text_is_computed(figure: str) -> None:
    assert figure in PAGE


def test_the_split_of_one_card_is_stated_in_gigabytes(models: ModelsConfig) -> None:
    profile = models.profiles["qwen3-96gb-shared"]
    parts = ", ".join(f"{part * profile.card_gb:.1f} GB {room}" for room, part in profile.split.items())
    assert f"{parts}; {1 - sum(profile.split.values()):.0%}".replace("%", " %") + " stay free" in PAGE


def test_the_reach_of_yarn_is_the_models(models: ModelsConfig) -> None:
    spec = models.models["qwen3-30b-a3b"]
    assert spec.yarn is not None
    said = f"Beyond {spec.context_tokens:,} tokens positions are stretched (YaRN, from {spec.yarn.from_tokens:,} up to"
    assert f"{said} {spec.yarn.to_tokens:,})" in PAGE


def test_the_ranks_are_those_that_vllm_takes() -> None:
    *most, last = flags.shipped().flags["max-lora-rank"]
    assert re.search(f"Ranks are {', '.join(most)} or {last}\\.", PAGE)
