"""A fingerprint tells base models apart, and a mismatch says where they differ first."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from concilium.adapters.base_model import read_base
from concilium.adapters.bundle import open_bundle
from concilium.adapters.refusals import BundleRefused
from support.adapters import DENSE, MOE, OTHER, Shape, lora_arrays, make_base, make_bundle, write_safetensors


def refusal(folder: Path, base: Path) -> BundleRefused:
    with pytest.raises(BundleRefused) as refused:
        open_bundle(folder, read_base(base))
    return refused.value


def sums(folder: Path) -> None:
    """Write the checksums of a base model's weights, as ``sha256sum`` does."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in folder.glob("*.safetensors")]
    (folder / "SHA256SUMS").write_text("".join(sorted(lines)))


def split(source: Path, target: Path) -> None:
    """Write the same base model in two files with an index."""
    data = (source / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]
    found = {
        name: np.frombuffer(data[8 + length :][slice(*one["data_offsets"])], np.float32).reshape(one["shape"])
        for name, one in header.items()
    }
    target.mkdir()
    shutil.copy(source / "config.json", target)
    names = sorted(found)
    parts = {"model-00001.safetensors": names[:3], "model-00002.safetensors": names[3:]}
    for part, held in parts.items():
        write_safetensors(target / part, {name: found[name] for name in held})
    index = {"weight_map": {name: part for part, held in parts.items() for name in held}}
    (target / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_model_of_another_size_is_refused_with_the_first_module_and_both_shapes(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "sport", make_base(tmp_path / "qwen-small"))
    make_base(tmp_path / "qwen-large", OTHER)
    refused = refusal(made.folder, tmp_path / "qwen-large")
    assert refused.code == "base-mismatch"
    assert refused.module == "model.layers.0.self_attn.q_proj"
    assert "(32, 32) in the adapter and (48, 40) in qwen-large" in refused.detail
    assert "made for qwen-small" in refused.detail


def test_a_dense_adapter_never_meets_a_model_with_experts(tmp_path: Path) -> None:
    dense, experts = make_base(tmp_path / "dense"), make_base(tmp_path / "experts", MOE)
    assert dense.fingerprint.architecture != experts.fingerprint.architecture
    made = make_bundle(tmp_path / "sport", dense)
    refused = refusal(made.folder, tmp_path / "experts")
    assert refused.code == "base-mismatch"
    assert "Qwen3MoeForCausalLM" in refused.detail


def test_both_shapes_are_shown_where_a_module_is_in_both_models(tmp_path: Path) -> None:
    tensors = lora_arrays(targets=("mlp.down_proj", "self_attn.q_proj"))
    made = make_bundle(tmp_path / "sport", make_base(tmp_path / "dense"), tensors=tensors)
    make_base(tmp_path / "experts", Shape(hidden=40, heads=6, experts=4))
    refused = refusal(made.folder, tmp_path / "experts")
    assert refused.module == "model.layers.0.self_attn.q_proj"
    assert "(32, 32) in the adapter and (48, 40) in experts" in refused.detail


def test_a_module_that_the_other_model_lacks_is_named_when_no_shape_differs(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "sport", make_base(tmp_path / "deep"))
    make_base(tmp_path / "flat", Shape(layers=1))
    refused = refusal(made.folder, tmp_path / "flat")
    assert refused.module == "model.layers.1.self_attn.q_proj"
    assert "absent in flat" in refused.detail


def test_a_model_that_differs_elsewhere_is_refused(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "sport", make_base(tmp_path / "one"))
    make_base(tmp_path / "two", Shape(vocab=65))
    assert refusal(made.folder, tmp_path / "two").code == "base-mismatch"


def test_how_the_files_are_cut_does_not_count(tmp_path: Path) -> None:
    whole = make_base(tmp_path / "whole")
    split(tmp_path / "whole", tmp_path / "cut")
    assert read_base(tmp_path / "cut").fingerprint.shapes == whole.fingerprint.shapes
    assert read_base(tmp_path / "cut").weights == whole.weights


def test_links_into_a_cache_are_followed_in_a_base_model(tmp_path: Path) -> None:
    whole = make_base(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    assert read_base(tmp_path / "snapshot").fingerprint.shapes == whole.fingerprint.shapes


def test_a_fine_tune_of_the_same_shape_is_told_apart_by_checksums_alone(tmp_path: Path) -> None:
    plain = make_base(tmp_path / "plain")
    tuned = make_base(tmp_path / "tuned", seed=1)
    assert plain.fingerprint.shapes == tuned.fingerprint.shapes
    assert plain.fingerprint.weights is None
    open_bundle(make_bundle(tmp_path / "blind", plain).folder, tuned)
    for name in ("plain", "tuned"):
        sums(tmp_path / name)
    made = make_bundle(tmp_path / "sport", read_base(tmp_path / "plain"))
    refused = refusal(made.folder, tmp_path / "tuned")
    assert refused.code == "base-mismatch"
    assert "same shapes and other weights" in refused.detail


def test_a_setting_that_changes_no_shape_is_the_same_base(tmp_path: Path) -> None:
    before = make_base(tmp_path / "base")
    config = DENSE.config() | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}, "transformers_version": "9"}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    assert read_base(tmp_path / "base").fingerprint == before.fingerprint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{}"),
        ("config.json", b'{"architectures": ["a b"]}'),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "../../secret.safetensors"}}'),
        ("model.safetensors.index.json", b'{"weight_map": []}'),
        ("SHA256SUMS", b"nothing"),
    ],
)
def test_a_base_model_that_makes_no_sense_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    make_base(tmp_path / "base")
    (tmp_path / "base" / name).write_bytes(content)
    with pytest.raises(BundleRefused) as refused:
        read_base(tmp_path / "base")
    assert refused.value.code == "bad-base"
