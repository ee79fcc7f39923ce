"""Packing makes a bundle that opens, names itself by its content, and is the same for the same input."""

import json
from pathlib import Path

import pytest

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle, open_bundle
from concilium.adapters.refusals import BundleRefused
from concilium.contracts.adapters import MANIFEST, Paradigm, Verdict
from support.adapters import facts, lora_arrays, make_bundle


def test_a_packed_adapter_opens_and_says_what_it_is(bundle: Bundle, base: BaseModelFacts) -> None:
    again = open_bundle(bundle.folder, base)
    assert again.digest == bundle.digest
    assert str(again.manifest.reference) == "sport@1.2.0"
    assert again.served_name == f"sport@1.2.0+{again.digest[:12]}"
    assert again.manifest.rank == 4
    assert again.report.verdict is Verdict.INSUFFICIENT
    assert list(again.modules) == [
        f"model.layers.{layer}.self_attn.{name}" for layer in (0, 1) for name in ("q_proj", "v_proj")
    ]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, base: BaseModelFacts) -> None:
    first, second = (make_bundle(tmp_path / name, base) for name in ("one", "two"))
    assert first.digest == second.digest
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()


def test_other_weights_give_another_digest(tmp_path: Path, base: BaseModelFacts, bundle: Bundle) -> None:
    other = make_bundle(tmp_path / "other", base, tensors=lora_arrays(seed=1))
    assert other.digest != bundle.digest


def test_the_hub_name_of_the_base_does_not_come_into_the_bundle(bundle: Bundle) -> None:
    written = json.loads((bundle.folder / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] is None


def test_a_paradigm_travels_in_the_manifest_in_both_languages(tmp_path: Path, base: BaseModelFacts) -> None:
    view = {
        "id": "flat-earth",
        "title": {"en": "Flat earth", "ru": "Плоская земля"},
        "names": ["flat earth", "плоская земля"],
        "allowed_topics": ["shape of the earth", "форма земли"],
        "warning_text": {"en": "A private view.", "ru": "Частная точка зрения."},
    }
    said = facts(paradigm=Paradigm.model_validate(view), restricted=True)
    made = make_bundle(tmp_path / "flat", base, said)
    written = json.loads((made.folder / MANIFEST).read_text(encoding="utf-8"))
    assert written["paradigm"] == view
    assert written["restricted"] is True
    assert "Частная точка зрения." in (made.folder / "README.md").read_text(encoding="utf-8")


def test_what_is_there_already_is_not_overwritten(tmp_path: Path, base: BaseModelFacts, bundle: Bundle) -> None:
    before = {path.name: path.read_bytes() for path in bundle.folder.iterdir()}
    with pytest.raises(BundleRefused) as refused:
        make_bundle(bundle.folder, base, tensors=lora_arrays(seed=1))
    assert refused.value.code == "exists"
    assert {path.name: path.read_bytes() for path in bundle.folder.iterdir()} == before


def test_after_a_refusal_nothing_is_left_behind(tmp_path: Path, base: BaseModelFacts) -> None:
    with pytest.raises(BundleRefused):
        make_bundle(tmp_path / "made" / "dora", base, use_dora=True)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["dora.peft"]
