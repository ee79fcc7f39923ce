"""Export gives one rank and one scale, and the same update of every weight."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.export import export
from concilium.adapters.pack import Papers, pack
from concilium.adapters.refusals import BundleRefused
from support.adapters import facts, lora_arrays, make_peft
from support.lora_updates import apart, here

Q0, V1 = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"
MIXED = lora_arrays(ranks={Q0: 6, V1: 2})


@pytest.mark.parametrize(
    "config",
    [
        {"rank_pattern": {Q0: 6, "layers.1.self_attn.v_proj": 2}},
        {"rank_pattern": {Q0: 6, V1: 2}, "alpha_pattern": {"q_proj": 3, V1: 0.7}, "use_rslora": True},
        {"rank_pattern": {r"layers\.0\.self_attn\.(q|o)_proj": 6, ".*1.*v_proj": 2, "v_proj": 4}},
        {"rank_pattern": {"^model.layers.0.self_attn.q_proj": 6, "^model.layers.[1-9].self_attn.v_proj": 2}},
    ],
    ids=["ranks", "ranks, alphas, rsLoRA", "expressions", "anchored"],
)
def test_every_update_stays_the_same(tmp_path: Path, config: dict[str, Any]) -> None:
    source = make_peft(tmp_path / "source", MIXED, **config)
    made = export(source, tmp_path / "made")
    assert made.rank == 8
    assert apart(here(source), here(tmp_path / "made")) < 1e-6
    written = json.loads((tmp_path / "made" / "adapter_config.json").read_text())
    assert (written["r"], written["lora_alpha"], written["use_rslora"]) == (8, 8, False)
    assert written["rank_pattern"] == written["alpha_pattern"] == {}
    shapes = {
        array.shape[0]
        for name, array in load_file(tmp_path / "made" / "adapter_model.safetensors").items()
        if "_A" in name
    }
    assert shapes == {8}


@pytest.mark.parametrize(("rank", "served"), [(1, 1), (2, 8), (8, 8), (9, 16), (65, 128), (257, 320), (512, 512)])
def test_the_rank_is_the_smallest_that_engines_serve(tmp_path: Path, rank: int, served: int) -> None:
    source = make_peft(tmp_path / "source", lora_arrays(rank=rank), r=rank)
    assert export(source, tmp_path / "made").rank == served


def test_an_exported_adapter_can_be_packed(tmp_path: Path, base: BaseModelFacts) -> None:
    source = make_peft(tmp_path / "source", MIXED, rank_pattern={Q0: 6, V1: 2}, use_rslora=True)
    license_file = source / "LICENSE"
    license_file.touch()
    with pytest.raises(BundleRefused, match="adapters export") as refused:
        pack(source, tmp_path / "sport", facts(), base, Papers(license_file))
    assert refused.value.code == "mixed-ranks"
    export(source, tmp_path / "uniform")
    assert pack(tmp_path / "uniform", tmp_path / "sport", facts(), base, Papers(license_file)).manifest.rank == 8


def test_a_type_is_kept_where_it_holds_every_value_and_left_where_it_does_not(tmp_path: Path) -> None:
    half = {name: array.astype(np.float16) for name, array in lora_arrays().items()}
    brain = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in lora_arrays().items()}
    found = {}
    for alpha in (8, 7):
        for name, tensors in (("half", half), ("brain", brain)):
            source = make_peft(tmp_path / f"{name}-{alpha}", tensors, lora_alpha=alpha)
            found[name, alpha] = export(source, tmp_path / f"{name}-{alpha}-made").dtype
    assert found == {("half", 8): "F16", ("brain", 8): "BF16", ("half", 7): "F32", ("brain", 7): "F32"}
    assert apart(here(tmp_path / "half-7"), here(tmp_path / "half-7-made")) < 1e-6


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"use_dora": True}, "dora"),
        ({"rank_pattern": {Q0: 6}}, "rank-mismatch"),
        ({"rank_pattern": {"(q|q)*": 6}}, "bad-config"),
        ({"rank_pattern": {"[z-a]": 6}}, "bad-config"),
        ({"rank_pattern": {f"{place}.*": 6 for place in range(20)}}, "bad-config"),
        ({"alpha_pattern": ["q_proj"]}, "bad-config"),
        ({"lora_alpha": 1e6, "use_rslora": True, "bias": "lora_only"}, "unsupported"),
    ],
)
def test_what_is_no_plain_lora_is_not_exported(tmp_path: Path, config: dict[str, Any], code: str) -> None:
    source = make_peft(tmp_path / "source", **config)
    with pytest.raises(BundleRefused) as refused:
        export(source, tmp_path / "made")
    assert refused.value.code == code, refused.value.detail
    assert not (tmp_path / "made").exists()


def test_dora_is_refused_with_the_reason(tmp_path: Path) -> None:
    source = make_peft(tmp_path / "source", use_dora=True)
    with pytest.raises(BundleRefused, match="no LoRA equals it"):
        export(source, tmp_path / "made")


def test_a_rank_over_what_engines_serve_is_refused(tmp_path: Path) -> None:
    source = make_peft(tmp_path / "source", lora_arrays(rank=513), r=513)
    with pytest.raises(BundleRefused) as refused:
        export(source, tmp_path / "made")
    assert refused.value.code == "rank-too-high"


def test_a_scale_that_makes_a_value_infinite_is_refused(tmp_path: Path) -> None:
    large = {
        name: np.where(array > 0, np.float32(3e38), array).astype(np.float32) for name, array in lora_arrays().items()
    }
    source = make_peft(tmp_path / "source", large, lora_alpha=16)
    with pytest.raises(BundleRefused) as refused:
        export(source, tmp_path / "made")
    assert refused.value.code == "not-finite"
