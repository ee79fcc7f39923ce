"""The shipped configuration file states every value at its default."""

import pytest
import yaml

from concilium.contracts.base import JSON
from concilium.contracts.config import MeshConfig, parse_config
from concilium.contracts.errors import Invalid
from concilium.home import shipped

TEXT = (shipped("configs") / "mesh.yaml").read_text(encoding="utf-8")


def test_the_shipped_file_names_every_value_and_nothing_else() -> None:
    written: dict[str, dict[str, JSON]] = yaml.safe_load(TEXT)
    known = MeshConfig().model_dump()
    assert {s: set(v) for s, v in written.items()} == {s: set(v) for s, v in known.items()}


def test_every_value_in_the_shipped_file_is_the_default() -> None:
    assert parse_config(TEXT, {}) == MeshConfig()


def test_each_value_can_be_overridden_by_its_environment_variable() -> None:
    for section, values in MeshConfig().model_dump(mode="json").items():
        for key, value in values.items():
            name = f"CONCILIUM_{section}__{key}".upper()
            assert parse_config("", {name: yaml.safe_dump(value)}) == MeshConfig()
    assert parse_config(TEXT, {"CONCILIUM_GATEWAY__PORT": "9000"}).gateway.port == 9000
    assert parse_config(TEXT, {"CONCILIUM_AGENTS__START": "[code]"}).agents.start == ("code",)


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("gatewya: {}", {}, "gatewya"),
        ("gateway: {prot: 1}", {}, "gateway.prot"),
        ("gateway: {port: 70000}", {}, "gateway.port"),
        ("", {"CONCILIUM_GATEWAY__PROT": "1"}, "CONCILIUM_GATEWAY__PROT"),
        ("", {"CONCILIUM_PORT": "1"}, "CONCILIUM_PORT"),
        ("[1]", {}, "mapping"),
        ("gateway: [", {}, "YAML"),
        ("", {"CONCILIUM_GATEWAY__PORT": "["}, "CONCILIUM_GATEWAY__PORT"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(text: str, environ: dict[str, str], named: str) -> None:
    with pytest.raises(Invalid, match=named.replace(".", r"\.")):
        parse_config(text, environ)
