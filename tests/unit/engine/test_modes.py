"""The file of modes, and which mode a request gets."""

from typing import Any

import pytest
import yaml

from concilium.contracts.errors import Invalid
from concilium.contracts.modes import ModelsConfig, parse_models
from concilium.home import Home, shipped

TEXT = (shipped("configs") / "models.yaml").read_text(encoding="utf-8")


def changed(name: str, **values: Any) -> str:
    data = yaml.safe_load(TEXT)
    data["modes"][name] |= values
    return yaml.safe_dump(data)


@pytest.fixture
def models() -> ModelsConfig:
    return parse_models(TEXT)


def test_the_shipped_file_has_the_five_modes(models: ModelsConfig) -> None:
    assert set(models.modes) == {"code", "think", "dialogue", "fast", "deep"}


def test_a_request_names_its_mode_else_its_purpose_decides_else_it_is_talk(models: ModelsConfig) -> None:
    assert models.choose("deep", "brain.plan") == "deep"
    assert models.choose(None, "brain.plan") == "fast"
    assert models.choose(None, "a.stranger") == "dialogue"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (changed("fast", speed=1), "modes.fast.speed"),
        (changed("fast", temperature=3), "modes.fast.temperature"),
        (changed("fast", thinking=True), "a mode that thinks has a thinking_budget"),
        (changed("fast", thinking_budget=5), "a mode that thinks has a thinking_budget"),
        (changed("deep", thinking_budget=500_000), "leave no room"),
        (changed("deep", purposes=["brain.plan"]), "brain.plan is a purpose of more than one mode"),
        (changed("deep", purposes=["Plan!"]), "modes.deep.purposes.0"),
        (yaml.safe_dump({"modes": {"fast": yaml.safe_load(TEXT)["modes"]["fast"]}}), "code, deep, dialogue, think"),
        (TEXT + "\nmoods: {}\n", "moods"),
        ("", "modes"),
        ("modes: [", "YAML"),
        ("- 1", "the file"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_models(text, "models.yaml")
    assert refused.value.detail.startswith("models.yaml")
    assert named in refused.value.detail


def test_the_owners_file_takes_the_place_of_the_shipped_one(tmp_path: Any) -> None:
    assert Home(tmp_path, {}).models == parse_models(TEXT)
    (tmp_path / "models.yaml").write_text(changed("fast", temperature=0.5))
    assert Home(tmp_path, {}).models.modes["fast"].temperature == 0.5
    (tmp_path / "models.yaml").write_text("modes: 7")
    with pytest.raises(Invalid, match=str(tmp_path)):
        _ = Home(tmp_path, {}).models
