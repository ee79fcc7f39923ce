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


OTHER: dict[str, tuple[str, JSON]] = {
    "str": ("another", "another"),
    "int": ("4321", 4321),
    "float": ("4.5", 4.5),
    "bool": ("false", False),
    "tuple": ("10.0.0.0/8,127.0.0.1:80", ["10.0.0.0/8", "127.0.0.1:80"]),
    "Decimal": ("20.5", "20.5"),
    "dict": ("{code: 'http://127.0.0.1:1'}", {"code": "http://127.0.0.1:1"}),
}
"""For each type of value: another one as the environment writes it, and as it is then in force."""
RULE = {"name": "mine", "work": ["code"], "data": ["public"], "only": ["home"], "never": [], "yields": False}
OTHER_PART: dict[str, JSON] = {
    "warn_at": 0.7,
    "low_until": 0.95,
    "normal_until": 1.05,
    "high_until": 1.5,
    "listen": "0.0.0.0:8443",
    "rules": [RULE],
}
"""The same for the parts of a budget, which must not fall, for an address, which must be one, and for rules."""


@pytest.mark.parametrize(
    ("section", "key", "kind"),
    [(s, k, type(v).__name__) for s, values in MeshConfig().model_dump().items() for k, v in values.items()],
)
def test_the_environment_sets_every_value_to_another(section: str, key: str, kind: str) -> None:
    part = OTHER_PART.get(key)
    written, meant = OTHER[kind] if part is None else (str(part), part)
    found = parse_config(TEXT, {f"CONCILIUM_{section}__{key}".upper(): written}).model_dump(mode="json")
    assert found[section].pop(key) == meant
    before = MeshConfig().model_dump(mode="json")
    del before[section][key]
    assert found == before


@pytest.mark.parametrize("written", ["code,tts", " code , tts ,", "[code, tts]", '["code", "tts"]', "- code\n- tts"])
def test_a_list_may_be_written_with_commas_or_as_yaml(written: str) -> None:
    assert parse_config(TEXT, {"CONCILIUM_AGENTS__START": written}).agents.start == ("code", "tts")


@pytest.mark.parametrize(
    ("text", "environ", "named"),
    [
        ("gatewya: {}", {}, "gatewya"),
        ("gateway: {prot: 1}", {}, "gateway.prot"),
        ("gateway: {port: 70000}", {}, "gateway.port"),
        ("nodes: {listen: everywhere}", {}, "nodes.listen"),
        ("budgets: {month: -1}", {}, "budgets.month"),
        ("budgets: {month: .nan}", {}, "budgets.month"),
        ("budgets: {month: true}", {}, "budgets.month"),
        ("budgets: {warn_at: .nan}", {}, "budgets.warn_at"),
        ("budgets: {low_until: 1.05}", {}, "budgets"),
        ("placement: {rules: [{name: private-stays-home, never: [x]}]}", {}, "private-stays-home always holds"),
        ("placement: {rules: [{name: a, never: [x]}, {name: a, only: [x]}]}", {}, "placement"),
        ("placement: {rules: [{name: a, work: [code]}]}", {}, "placement.rules.0"),
        ("placement: {rules: [{name: a, data: [secret], only: [x]}]}", {}, "placement.rules.0.data"),
        ("", {"CONCILIUM_BUDGETS__MONTH": "-1"}, "budgets.month"),
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
