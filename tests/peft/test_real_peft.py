"""What real PEFT saved is exported, packed and composed without changing what a real model computes with it."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from concilium.adapters.base_model import read_base
from concilium.adapters.bundle import Bundle, open_bundle
from concilium.adapters.compose import Recipe, compose
from concilium.adapters.export import export
from concilium.adapters.pack import Papers, pack
from concilium.adapters.refusals import BundleRefused
from concilium.contracts.adapters import AdapterFacts
from support.peft import work

Logits = npt.NDArray[np.float64]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ATTENTION = ALL[:4]
TAKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "ranks": ("dense", {"r": 4, "target_modules": ALL, "rank_pattern": {"q_proj": 7, "layers.1.mlp.up_proj": 1}}),
    "rslora": (
        "dense",
        {
            "r": 6,
            "lora_alpha": 9,
            "use_rslora": True,
            "target_modules": ALL,
            "rank_pattern": {r"model\.layers\.[02]\.self_attn\.(q|k)_proj": 12},
            "alpha_pattern": {"down_proj": 5, "^model.layers.1.self_attn.v_proj": 20},
        },
    ),
    "plain": ("dense", {"r": 8, "lora_alpha": 16, "target_modules": ATTENTION}),
    "experts": ("moe", {"r": 5, "target_modules": ATTENTION, "alpha_pattern": {"o_proj": 3}}),
}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "dora": ("dense", {"use_dora": True, "init_lora_weights": True}, "dora"),
    "whole": ("dense", {"modules_to_save": ["lm_head"]}, "modules-to-save"),
    "bias": ("dense", {"lora_bias": True}, "unsupported"),
    "embedding": ("dense", {"target_modules": ["embed_tokens"]}, "modules-to-save"),
    "pissa": ("dense", {"init_lora_weights": "pissa"}, "unsupported"),
    "untrained": ("dense", {"init_lora_weights": True}, "zero-b"),
    "fused": (
        "moe",
        {"target_modules": [], "target_parameters": ["mlp.experts.gate_up_proj"]},
        "unsupported",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two base models, and adapters that PEFT saved for them, each in a folder of its name."""
    place = tmp_path_factory.mktemp("peft")
    jobs: list[dict[str, Any]] = [
        {"do": "base", "folder": "dense"},
        {"do": "base", "folder": "moe", "experts": True},
    ]
    made = {name: one[:2] for name, one in (TAKEN | REFUSED).items()}
    for seed, (name, (base, config)) in enumerate(made.items()):
        options = {"r": 4, "target_modules": ATTENTION} | config
        jobs.append({"do": "adapter", "base": base, "folder": name, "config": options, "seed": seed})
    work(place, *jobs)
    (place / "LICENSE").write_text("CC0 1.0 Universal\n")
    return place


@pytest.fixture(scope="module")
def bundles(folder: Path) -> dict[str, Bundle]:
    """Each adapter that is taken: exported, packed, and checked against its base."""
    found = {}
    for name, (base, _) in TAKEN.items():
        export(folder / name, folder / f"{name}-uniform")
        said = AdapterFacts(id=name, version="1.0.0", capability="test")
        papers = Papers(folder / "LICENSE")
        pack(folder / f"{name}-uniform", folder / f"{name}-bundle", said, read_base(folder / base), papers)
        found[name] = open_bundle(folder / f"{name}-bundle", read_base(folder / base))
    return found


@pytest.fixture(scope="module")
def logits(folder: Path, bundles: dict[str, Bundle]) -> dict[str, list[Logits]]:
    """Logits of each case: with what PEFT saved, with what became of it, and of the base alone."""
    recipe = Recipe([bundles["plain"], bundles["rslora"]], [1.0, 1.0], "cat", 64)
    made = compose(recipe, folder / "store")
    cases = {name: (TAKEN[name][0], [name], [str(bundles[name].folder)]) for name in TAKEN}
    cases["composite"] = ("dense", ["plain", "rslora"], [str(made.folder)])
    jobs = [
        {"do": "logits", "base": base, "adapters": adapters}
        for base, before, after in cases.values()
        for adapters in (before, after, [])
    ]
    found = iter(work(folder, *jobs))
    return {name: [np.array(next(found)) for _ in range(3)] for name in cases}


@pytest.mark.parametrize("name", [*TAKEN, "composite"])
def test_logits_agree_with_those_of_what_peft_saved(logits: dict[str, list[Logits]], name: str) -> None:
    before, after, alone = logits[name]
    error, effect = np.abs(before - after).max(), np.abs(before - alone).max()
    print(f"{name}: logits apart by {error:.1e}, the adapter moves them by {effect:.1e}")
    assert effect > 1e-2
    assert error < 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_plain_lora_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleRefused) as refused:
        export(folder / name, tmp_path / "made")
    assert refused.value.code == REFUSED[name][2], refused.value.detail


def test_an_adapter_for_the_model_without_experts_does_not_meet_the_one_with(
    folder: Path, bundles: dict[str, Bundle]
) -> None:
    with pytest.raises(BundleRefused) as refused:
        open_bundle(bundles["plain"].folder, read_base(folder / "moe"))
    assert refused.value.code == "base-mismatch"
