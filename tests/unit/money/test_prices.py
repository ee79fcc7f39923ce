"""Prices: exact arithmetic, and bad ones refused by their name."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.contracts.config import parse_config
from concilium.contracts.errors import Invalid
from concilium.contracts.money import from_micros, to_micros
from concilium.contracts.prices import EngineUse, NodePrice, Prices, Spent, parse_prices
from concilium.home import Home, shipped

NOVEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
AMOUNTS = st.decimals(min_value=0, max_value=999_999_999, places=6)


@given(AMOUNTS)
def test_an_amount_survives_the_way_through_micro_units(amount: Decimal) -> None:
    assert from_micros(to_micros(amount)) == amount


@given(AMOUNTS, st.integers(0, 2000), AMOUNTS, st.integers(0, 10**8), st.integers(1, 256))
def test_a_run_costs_what_exact_fractions_say_within_half_a_micro_unit(
    hourly: Decimal, watts: int, kwh: Decimal, ms: int, slots: int
) -> None:
    price = NodePrice(per_hour=hourly, per_month=hourly, watts=watts, slots=slots)
    spent = Prices(electricity_per_kwh=kwh, nodes={"n": price}).run("n", ms / 1000, NOVEMBER)
    assert spent is not None
    hours = Fraction(ms, 3_600_000) / slots
    caused = hours * (Fraction(hourly) + Fraction(watts, 1000) * Fraction(kwh)) * 10**6
    share = hours / 720 * Fraction(hourly) * 10**6
    assert abs(spent.caused - caused) <= Fraction(1, 2)
    assert abs(spent.share - share) <= Fraction(1, 2)


def test_a_node_that_works_a_whole_month_on_all_slots_uses_its_whole_monthly_price() -> None:
    prices = Prices(nodes={"vps": NodePrice(per_month=Decimal("6.49"), slots=3)})
    for month, days in ((2, 28), (11, 30), (12, 31)):
        run = prices.run("vps", days * 86_400, datetime(2026, month, 5, tzinfo=UTC))
        assert run == Spent(0, 2_163_333)
        assert abs(3 * 2_163_333 - 6_490_000) <= 3


def test_tokens_cost_their_price_a_million() -> None:
    prices = parse_prices("engines: {engine: {input_per_million: 0.15, output_per_million: 0.6}}")
    assert prices.engine(EngineUse(engine="engine", input_tokens=1000, output_tokens=10)) == Spent(156)
    assert prices.engine(EngineUse(engine="vision_engine", input_tokens=1000)) is None


def test_the_dearest_use_of_an_engine_still_fits_the_database() -> None:
    prices = parse_prices("engines: {engine: {input_per_million: 999999999, output_per_million: 999999999}}")
    most = prices.engine(EngineUse(engine="engine", input_tokens=10**9, output_tokens=10**9))
    assert most is not None
    assert most.total < 2**63
    assert prices.model_copy(update={"nodes": {"n": NodePrice(per_hour=Decimal(999_999_999))}}).run(
        "n", 86_400.0, NOVEMBER
    ) == Spent(23_999_999_976_000_000)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nodes: {gpu: {per_hour: -0.1}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_hour: .nan}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_hour: .inf}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_hour: NaN}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_hour: cheap}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_hour: true}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_hour: 0.0000001}}", "nodes.gpu.per_hour"),
        ("nodes: {gpu: {per_month: 1000000000}}", "nodes.gpu.per_month"),
        ("nodes: {gpu: {per_minute: 1}}", "nodes.gpu.per_minute"),
        ("nodes: {gpu: {slots: 0}}", "nodes.gpu.slots"),
        ("nodes: {gpu: {watts: -1}}", "nodes.gpu.watts"),
        ("engines: {engine: {input_per_million: -1}}", "engines.engine.input_per_million"),
        ("engines: {other: {}}", "engines.other"),
        ("electricity_per_kwh: -1", "electricity_per_kwh"),
        ("currency: Euro", "currency"),
        ("curency: EUR", "curency"),
        ("nodes: [", "YAML"),
        ("[1]", "the file"),
    ],
)
def test_a_bad_price_is_refused_by_its_name(text: str, named: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_prices(text)
    assert named in refused.value.detail


def test_the_shipped_prices_state_that_the_own_machine_and_engines_cost_nothing(tmp_path) -> None:  # type: ignore[no-untyped-def]  # fixture
    prices = Home(tmp_path, {}).prices
    assert prices == parse_prices((shipped("configs") / "prices.yaml").read_text(encoding="utf-8"))
    assert prices.run("home", 3600.0, NOVEMBER) == Spent(0)
    for engine in ("engine", "vision_engine", "speech_engine"):
        assert prices.engine(EngineUse(engine=engine, input_tokens=10**6)) == Spent(0)  # type: ignore[arg-type]  # names


def test_a_homes_own_prices_win_and_are_named_when_wrong(tmp_path) -> None:  # type: ignore[no-untyped-def]  # fixture
    own = tmp_path / "prices.yaml"
    own.write_text("{currency: EUR, nodes: {home: {per_hour: 1}}}")
    assert Home(tmp_path, {}).prices.currency == "EUR"
    own.write_text("nodes: {home: {per_hour: -1}}")
    with pytest.raises(Invalid, match=rf"{own}: nodes\.home\.per_hour"):
        _ = Home(tmp_path, {}).prices


def test_the_examples_of_the_documentation_are_valid_and_the_one_of_the_home_adds_up() -> None:
    text = (shipped("configs").parent / "docs" / "costs.md").read_text(encoding="utf-8")
    prices_text, budgets_text = re.findall(r"```yaml\n(.*?)```", text, re.S)
    prices = parse_prices(prices_text)
    assert prices.run("home", 3600.0, NOVEMBER) == Spent(33_750)
    assert prices.run("vps-1", 3600.0, NOVEMBER) == Spent(0, 4507)
    assert prices.run("gpu-1", 3600.0, NOVEMBER) == Spent(690_000)
    assert prices.engine(EngineUse(engine="speech_engine", input_tokens=1000)) == Spent(15_000)
    assert parse_config(budgets_text, {}).budgets.month == 40
