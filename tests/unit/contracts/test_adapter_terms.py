"""``adapters.yaml``: what ships is the default, every value of it is told of, and a wrong one is named."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from concilium.contracts.adapter_life import CanaryTerms
from concilium.contracts.adapter_terms import AdapterTerms, Keep, ReplicaTerms, parse_adapter_terms
from concilium.contracts.errors import Invalid
from concilium.home import Home

SHIPPED = Path(__file__).parents[3] / "configs" / "adapters.yaml"


def test_what_ships_says_the_defaults() -> None:
    assert parse_adapter_terms(SHIPPED.read_text(encoding="utf-8")) == AdapterTerms()
    assert parse_adapter_terms("") == AdapterTerms()


@pytest.mark.parametrize("model", [AdapterTerms, Keep, ReplicaTerms, CanaryTerms])
def test_every_value_is_in_the_file_with_a_comment(model: type[BaseModel]) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    for name in model.model_fields:
        assert re.search(rf"^#?\s*{name}:", text, re.MULTILINE), name


def test_the_examples_in_its_comments_are_valid() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    open_text = re.sub(r"^(adapters|replicas): \{\}$", r"\1:", text, flags=re.MULTILINE)
    terms = parse_adapter_terms(re.sub(r"^#( +[a-z])", r" \1", open_text, flags=re.MULTILINE))
    assert terms.keep("core") == Keep(tier="gpu", pin=True, priority=10)
    assert terms.keep("nobody") == Keep()
    assert terms.replicas["home"].slots == 8


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("adapters: {sport: {tier: tape}}", "adapters.sport.tier"),
        ("adapters: {Sport: {}}", "Sport"),
        ("replicas: {home: {url: 'ftp://x', store: /s, model: m}}", "replicas.home.url"),
        ("replicas: {home: {url: 'http://x/v1', store: /s, model: m}}", "replicas.home.url"),
        ("canary: {share: 0.9, slow_s: 1}", "canary.share"),
        ("cache: 3", "cache"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(Invalid, match=named):
        parse_adapter_terms(text)


def test_a_home_reads_its_own_file_and_else_the_shipped_one(tmp_path: Path) -> None:
    assert Home(tmp_path, {}).adapter_terms == AdapterTerms()
    (tmp_path / "adapters.yaml").write_text("drain_s: 7\n")
    assert Home(tmp_path, {}).adapter_terms.drain_s == 7
    assert Home(tmp_path, {}).adapter_store == tmp_path / "adapters" / "store"
