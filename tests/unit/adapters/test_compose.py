"""A composite is the weighted sum of its parents, made once, and as private as any of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from concilium.adapters.base_model import BaseModelFacts
from concilium.adapters.bundle import Bundle, open_bundle
from concilium.adapters.compose import Recipe, compose
from concilium.adapters.refusals import BundleRefused
from concilium.contracts.adapters import Paradigm
from concilium.contracts.errors import Invalid
from support.adapters import OTHER, facts, lora_arrays, make_base, make_bundle, reseal
from support.lora_updates import Updates, apart, of_bundle

FEED = ("self_attn.q_proj", "mlp.down_proj")


@pytest.fixture
def core(tmp_path: Path, base: BaseModelFacts) -> Bundle:
    return make_bundle(tmp_path / "core", base, facts("core", "1.0.0"), lora_arrays(rank=8, seed=1), r=8, lora_alpha=4)


@pytest.fixture
def topic(tmp_path: Path, base: BaseModelFacts) -> Bundle:
    """An adapter of another rank and scale, for other modules, some of them the same."""
    tensors = lora_arrays(rank=4, seed=2, targets=FEED)
    return make_bundle(tmp_path / "topic", base, facts("chess", "2.0.0"), tensors, lora_alpha=6)


def total(parents: list[Bundle], weights: list[float]) -> Updates:
    found: Updates = {}
    for parent, weight in zip(parents, weights, strict=True):
        for name, update in of_bundle(parent).items():
            found[name] = found.get(name, np.zeros_like(update)) + weight * update
    return found


def recipe(*parents: Bundle, weights: list[float] | None = None, method: str = "cat", rank_max: int = 64) -> Recipe:
    return Recipe(parents, weights or [1.0] * len(parents), method, rank_max)


def view(name: str) -> Paradigm:
    both = {"en": name, "ru": "Взгляд"}
    return Paradigm.model_validate({"id": name, "title": both, "warning_text": both})


def test_cat_equals_the_sum(tmp_path: Path, core: Bundle, topic: Bundle, base: BaseModelFacts) -> None:
    made = compose(recipe(core, topic, weights=[1.0, 0.3]), tmp_path / "store")
    assert apart(of_bundle(made), total([core, topic], [1.0, 0.3])) < 1e-5
    assert made.manifest.rank == 16
    assert made.manifest.parents == (core.digest, topic.digest)
    assert made.manifest.composition is not None
    assert (made.manifest.composition.method, made.manifest.composition.error) == ("cat", 0.0)
    open_bundle(made.folder, base)


def test_svd_is_the_nearest_of_its_rank_and_reports_what_was_lost(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    made = compose(recipe(core, topic, method="svd", rank_max=8), tmp_path / "store")
    wanted = total([core, topic], [1.0, 1.0])
    lost = sum(float(np.sum(np.linalg.svd(update, compute_uv=False)[8:] ** 2)) for update in wanted.values())
    best = (lost / sum(float(np.sum(update**2)) for update in wanted.values())) ** 0.5
    found = of_bundle(made)
    apart_by = sum(float(np.sum((found[name] - update) ** 2)) for name, update in wanted.items())
    real = (apart_by / sum(float(np.sum(update**2)) for update in wanted.values())) ** 0.5
    assert made.manifest.rank == 8
    assert made.manifest.composition is not None
    assert made.manifest.composition.error == pytest.approx(best, rel=1e-6)
    assert real == pytest.approx(best, rel=1e-4)
    assert best > 0.01


def test_svd_loses_nothing_where_the_ranks_fit(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    made = compose(recipe(core, topic, method="svd", rank_max=16), tmp_path / "store")
    assert made.manifest.composition is not None
    assert made.manifest.composition.error == 0.0
    assert apart(of_bundle(made), total([core, topic], [1.0, 1.0])) < 1e-5


def test_svd_of_ranks_beyond_the_matrices_loses_nothing(tmp_path: Path, base: BaseModelFacts) -> None:
    wide = [
        make_bundle(tmp_path / f"wide-{seed}", base, facts("wide"), lora_arrays(rank=24, seed=seed), r=24)
        for seed in (1, 2)
    ]
    made = compose(recipe(*wide, method="svd", rank_max=32), tmp_path / "store")
    assert made.manifest.rank == 32
    assert apart(of_bundle(made), total(wide, [1.0, 1.0])) < 1e-5


def test_cat_over_the_largest_rank_is_refused_with_the_way_out(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    with pytest.raises(BundleRefused, match=r"8 \+ 4 = 12; the engine has room for 8. Use svd") as refused:
        compose(recipe(core, topic, rank_max=8), tmp_path / "store")
    assert refused.value.code == "rank-too-high"
    assert not (tmp_path / "store").exists()


def test_cat_over_what_any_engine_serves_is_refused_too(tmp_path: Path, base: BaseModelFacts) -> None:
    wide = make_bundle(tmp_path / "wide", base, facts("wide"), lora_arrays(rank=320), r=320)
    with pytest.raises(BundleRefused, match="= 640; the engine has room for 512") as refused:
        compose(recipe(wide, wide, rank_max=600), tmp_path / "store")
    assert refused.value.code == "rank-too-high"


def test_linear_is_refused(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    with pytest.raises(BundleRefused, match="A and B apart") as refused:
        compose(recipe(core, topic, method="linear"), tmp_path / "store")
    assert refused.value.code == "linear"


def test_a_composite_is_made_once_and_named_by_what_went_in(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    store = tmp_path / "store"
    first = compose(recipe(core, topic), store)
    written = (first.folder / "manifest.json").stat().st_mtime_ns
    again = compose(recipe(core, topic, rank_max=128), store)
    assert again.digest == first.digest
    assert (again.folder / "manifest.json").stat().st_mtime_ns == written
    others = [
        recipe(topic, core),
        recipe(core, topic, weights=[1.0, 0.5]),
        recipe(core, topic, method="svd"),
        recipe(core, topic, method="svd", rank_max=32),
    ]
    ids = {compose(one, store).folder.name for one in others}
    assert len(ids | {first.folder.name}) == 5
    assert {path.name for path in store.iterdir()} == ids | {first.folder.name}


def test_of_several_that_compose_the_same_at_once_each_gets_the_one(
    tmp_path: Path, core: Bundle, topic: Bundle
) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: compose(recipe(core, topic), tmp_path / "store"), range(4)))
    assert len({one.digest for one in made}) == 1
    assert [path.name for path in (tmp_path / "store").iterdir()] == [made[0].folder.name]


def test_a_damaged_composite_in_the_store_is_refused(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    made = compose(recipe(core, topic), tmp_path / "store")
    (made.folder / "LICENSE").write_text("other")
    with pytest.raises(BundleRefused) as refused:
        compose(recipe(core, topic), tmp_path / "store")
    assert refused.value.code == "hash-mismatch"


def test_a_private_parent_makes_the_composite_private(tmp_path: Path, base: BaseModelFacts, core: Bundle) -> None:
    private = make_bundle(tmp_path / "flat", base, facts("flat", paradigm=view("flat-earth"), restricted=True))
    made = compose(recipe(core, private), tmp_path / "store")
    assert made.manifest.paradigm == view("flat-earth")
    assert made.manifest.restricted
    assert made.manifest.reports == {"verify_report.json": "INSUFFICIENT"}


def test_two_paradigms_are_not_mixed(tmp_path: Path, base: BaseModelFacts) -> None:
    parents = [make_bundle(tmp_path / name, base, facts(name, paradigm=view(name))) for name in ("flat", "hollow")]
    with pytest.raises(BundleRefused, match="flat, hollow") as refused:
        compose(recipe(*parents), tmp_path / "store")
    assert refused.value.code == "paradigms-differ"


def test_parents_of_two_bases_are_not_mixed(tmp_path: Path, core: Bundle) -> None:
    other = make_base(tmp_path / "other", OTHER)
    stranger = make_bundle(tmp_path / "stranger", other, facts("far"), lora_arrays(OTHER))
    with pytest.raises(BundleRefused, match=r"far@1\.2\.0 on other") as refused:
        compose(recipe(core, stranger), tmp_path / "store")
    assert refused.value.code == "bases-differ"
    reseal(stranger.folder, base=core.manifest.base.model_dump())
    with pytest.raises(BundleRefused, match="not of one base") as refused:
        compose(recipe(core, open_bundle(stranger.folder)), tmp_path / "store")
    assert refused.value.code == "bases-differ"


def test_every_licence_is_kept(tmp_path: Path, core: Bundle, topic: Bundle) -> None:
    (topic.folder / "LICENSE").write_text("Another licence\n")
    reseal(topic.folder)
    made = compose(recipe(core, open_bundle(topic.folder)), tmp_path / "store")
    text = (made.folder / "LICENSE").read_text()
    assert "Of core@1.0.0:\n\nCC0" in text
    assert "Of chess@2.0.0:\n\nAnother licence" in text


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, 1.0, 1.0]])
def test_weights_that_make_no_sense_are_refused(tmp_path: Path, core: Bundle, topic: Bundle, weights: Any) -> None:
    with pytest.raises(Invalid):
        compose(Recipe([core, topic], weights, "cat", 64), tmp_path / "store")
