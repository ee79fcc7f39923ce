"""What work costs, and budgets that stop new work: the same on both databases."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from concilium.contracts import limits
from concilium.contracts.config import BudgetConfig
from concilium.contracts.costs import BudgetState, By, CostRow
from concilium.contracts.errors import BudgetExhausted, IllegalTransition, Invalid, NotFound
from concilium.contracts.prices import EngineUse, Prices, parse_prices
from concilium.contracts.task import Priority, StateEvent
from concilium.ledger import Asked, Ledger, clock
from support.fold import advance
from support.ledgers import Hands, hands, until

PRICES = parse_prices("""
currency: EUR
electricity_per_kwh: 0.30
nodes:
  n1: {per_hour: 3.60, slots: 2}
  vps: {per_month: 7.44}
  home: {watts: 500}
  own: {}
engines:
  engine: {input_per_million: 0.15, output_per_million: 0.60}
""")
HOUR_S = 3600.0


class Time:
    """The ledger's clock, moved by hand."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._now = clock.Clock.now

    def now(self, own: clock.Clock) -> float:
        return self._now(own) + self.ahead_s

    def forward(self, seconds: float) -> None:
        self.ahead_s += seconds

    def to(self, moment: datetime) -> None:
        self.ahead_s += moment.timestamp() - self.now(clock.Clock())


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    moved = Time()
    monkeypatch.setattr(clock.Clock, "now", lambda own: moved.now(own))  # noqa: PLW0108 - bound to the clock
    return moved


def priced(url: str, tmp_path: Path, budgets: dict[str, Any] | None = None, prices: Prices = PRICES) -> Any:
    """Open a ledger with prices and, if given, a budget."""
    return hands(url, tmp_path / "blobs", prices=prices, budgets=BudgetConfig(**(budgets or {})))


async def run_for(mesh: Hands, time: Time, hours: float, node: str = "n1", **terms: Any) -> str:
    """Submit a task and work on it for hours; return its id."""
    task = (await mesh.submit("a", **terms)).task
    (lease,) = await mesh.claim(node=node)
    time.forward(hours * HOUR_S)
    await mesh.complete(lease, node=node, duration_s=hours * HOUR_S)
    return task.id


async def rows(mesh: Hands, by: By, **asked: Any) -> dict[str, CostRow]:
    report = await mesh.ledger.costs(Asked(by, **asked))
    return {row.name: row for row in report.rows}


async def test_a_run_costs_its_hours_times_the_nodes_price_over_its_slots(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path) as mesh:
        task_id = await run_for(mesh, time, 1.0)
        task = await mesh.ledger.get(task_id)
        assert task.cost is not None
        assert (task.cost.amount, task.cost.currency, task.cost.unpriced) == (Decimal("1.80"), "EUR", 0)
        assert [run.cost for run in await mesh.ledger.steps(task_id)] == [Decimal("1.80")]
        found = (await rows(mesh, By.NODE))["n1"]
        assert (found.caused, found.runs, found.seconds) == (Decimal("1.80"), 1, 3600.0)


async def test_the_cost_is_committed_with_the_outcome_in_the_same_three_commits(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path, {"month": 1000}) as mesh:
        before = (await mesh.ledger.stats()).commits
        await run_for(mesh, time, 1.0)
        assert (await mesh.ledger.stats()).commits - before == 3


async def test_electricity_is_watts_times_hours_times_the_price(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path) as mesh:
        await run_for(mesh, time, 2.0, node="home")
        assert (await rows(mesh, By.NODE))["home"].caused == Decimal("0.30")


async def test_a_monthly_price_is_owed_without_work_and_shared_by_the_hours_of_the_month(
    url: str, tmp_path: Path, time: Time
) -> None:
    time.to(datetime(2027, 1, 10, tzinfo=UTC))  # a month of 744 hours
    async with priced(url, tmp_path) as mesh:
        await mesh.ledger.sweep()
        idle = (await rows(mesh, By.NODE))["vps"]
        assert (idle.monthly, idle.total, idle.share, idle.runs) == (Decimal("7.44"), Decimal("7.44"), 0, 0)
        await run_for(mesh, time, 10.0, node="vps")
        used = (await rows(mesh, By.NODE))["vps"]
        assert (used.total, used.share, used.caused) == (Decimal("7.44"), Decimal("0.10"), 0)
        report = await mesh.ledger.costs(Asked(By.KEY))
        assert (report.rows[0].total, report.total) == (Decimal("0.10"), Decimal("7.44"))


async def test_a_node_without_a_price_is_counted_as_unknown_and_a_free_one_as_nothing(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path) as mesh:
        free = await mesh.ledger.get(await run_for(mesh, time, 1.0, node="own"))
        unknown = await mesh.ledger.get(await run_for(mesh, time, 1.0, node="elsewhere"))
        assert free.cost is not None
        assert unknown.cost is not None
        assert (free.cost.amount, free.cost.unpriced) == (0, 0)
        assert (unknown.cost.amount, unknown.cost.unpriced) == (0, 1)
        assert [run.cost for run in await mesh.ledger.steps(unknown.id)] == [None]
        found = await rows(mesh, By.NODE)
        assert set(found) == {"elsewhere"}
        assert found["elsewhere"].unpriced == 1


async def test_a_run_cannot_be_charged_for_longer_than_it_can_have_taken(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path) as mesh:
        task = (await mesh.submit("a")).task
        lease = await mesh.one()
        time.forward(60)
        await mesh.complete(lease, duration_s=10_000 * HOUR_S)
        cost = (await mesh.ledger.get(task.id)).cost
        assert cost is not None
        assert Decimal("0.03") <= cost.amount < Decimal("0.06")


async def test_a_canceled_run_is_charged_for_the_time_since_its_grant(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path) as mesh:
        task = (await mesh.submit("a b")).task
        await mesh.one()
        time.forward(HOUR_S)
        view = await mesh.ledger.cancel(task.id, "enough")
        assert view.cost is not None
        assert Decimal("1.80") <= view.cost.amount < Decimal("1.85")
        with pytest.raises(IllegalTransition):
            await mesh.ledger.cancel(task.id, "again")
        assert (await rows(mesh, By.NODE))["n1"].runs == 1


async def test_tokens_of_engines_are_charged_to_the_step_and_the_thought_that_asked(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path) as mesh:
        task = (await mesh.submit("think a")).task
        (thought,) = await mesh.ledger.claim_thoughts("b1")
        use = EngineUse(engine="engine", input_tokens=2_000_000, output_tokens=500_000)
        await mesh.ledger.commit_thought(task.id, thought.fence, "plan", {}, used=(use,))
        lease = await mesh.one()
        away = EngineUse(engine="vision_engine", input_tokens=7)
        await mesh.complete(lease, duration_s=0.0, used=(use, away))
        view = await mesh.ledger.get(task.id)
        assert view.cost is not None
        assert (view.cost.amount, view.cost.unpriced) == (Decimal("1.20"), 1)
        assert [run.cost for run in await mesh.ledger.steps(task.id)] == [Decimal("0.60")]
        found = await rows(mesh, By.NODE)
        assert (found["engine"].label, found["engine"].caused) == ("engine", Decimal("1.20"))
        assert (found["engine"].input_tokens, found["engine"].output_tokens) == (4_000_000, 1_000_000)
        assert (found["vision_engine"].input_tokens, found["vision_engine"].unpriced) == (7, 1)


async def test_sums_by_task_key_node_and_month_agree(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path) as mesh:
        key, _ = await mesh.ledger.create_key("reporter", ())
        mine = [await run_for(mesh, time, 0.1, key_id=key.id) for _ in range(3)]
        other = await run_for(mesh, time, 0.5)
        assert {name: row.total for name, row in (await rows(mesh, By.KEY)).items()} == {
            key.id: Decimal("0.54"),
            "key_1": Decimal("0.90"),
        }
        assert (await rows(mesh, By.KEY))[key.id].label == "reporter"
        assert sum(row.total for row in (await rows(mesh, By.NODE)).values()) == Decimal("1.44")
        (month,) = (await rows(mesh, By.MONTH)).values()
        assert month.total == Decimal("1.44")
        assert set(await rows(mesh, By.TASK)) == {*mine, other}
        assert set(await rows(mesh, By.TASK, key_id=key.id)) == set(mine)
        own = await mesh.ledger.costs(Asked(By.NODE, key_id=key.id))
        assert (own.total, own.rows[0].total) == (Decimal("0.54"), Decimal("0.54"))
        first = await mesh.ledger.costs(Asked(By.TASK, limit=3))
        rest = await mesh.ledger.costs(Asked(By.TASK, limit=3, before=first.next))
        assert ([len(first.rows), len(rest.rows)], rest.next) == ([3, 1], None)


async def test_months_turn_in_utc_and_a_run_belongs_to_the_month_it_ended_in(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path, {"month": 20}) as mesh:
        time.to(datetime(2027, 1, 31, 22, 30, tzinfo=UTC))
        await mesh.ledger.sweep()
        await run_for(mesh, time, 1.0)
        await run_for(mesh, time, 1.0)
        await mesh.ledger.sweep()
        found = await rows(mesh, By.MONTH)
        assert {name: (row.caused, row.monthly) for name, row in found.items()} == {
            "2027-01": (Decimal("1.80"), Decimal("7.44")),
            "2027-02": (Decimal("1.80"), Decimal("7.44")),
        }
        (budget,) = (await mesh.ledger.costs(Asked(By.MONTH))).budgets
        assert (budget.spent, budget.resets_at) == (Decimal("9.24"), datetime(2027, 3, 1, tzinfo=UTC))


async def test_a_changed_price_leaves_past_costs_as_they_were(url: str, tmp_path: Path, time: Time) -> None:
    time.to(datetime(2027, 1, 31, 12, tzinfo=UTC))
    async with priced(url, tmp_path) as mesh:
        await mesh.ledger.sweep()
        old = await run_for(mesh, time, 1.0)
    dearer = parse_prices("{currency: EUR, nodes: {n1: {per_hour: 7.20, slots: 2}, vps: {per_month: 10}}}")
    async with priced(url, tmp_path, prices=dearer) as mesh:
        new = await run_for(mesh, time, 1.0)
        costs = [(await mesh.ledger.get(task_id)).cost for task_id in (old, new)]
        assert [cost.amount for cost in costs if cost] == [Decimal("1.80"), Decimal("3.60")]
        time.to(datetime(2027, 2, 1, tzinfo=UTC))
        await mesh.ledger.sweep()
        found = await rows(mesh, By.MONTH)
        assert (found["2027-01"].caused, found["2027-01"].monthly) == (Decimal("5.40"), Decimal("7.44"))
        assert found["2027-02"].monthly == Decimal(10)


async def test_a_ledger_with_costs_keeps_its_currency(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path) as mesh:
        await run_for(mesh, time, 1.0)
    with pytest.raises(Invalid, match=r"currency: is USD, .* in EUR"):
        await Ledger.open(url, tmp_path / "blobs", advance, prices=Prices(currency="USD"))
    async with priced(url, tmp_path) as mesh:
        await run_for(mesh, time, 1.0)


BUDGET = {"month": 10, "warn_at": 0.5, "low_until": 0.7, "normal_until": 0.9, "high_until": 1.2}
CHEAP = parse_prices("{currency: EUR, nodes: {n1: {per_hour: 1}}}")


async def taken(mesh: Hands) -> list[str]:
    """Submit a task of each priority; return those that are taken, each canceled at once."""
    found = []
    for priority in Priority:
        try:
            submitted = await mesh.submit("a", priority=priority)
        except BudgetExhausted:
            continue
        await mesh.ledger.cancel(submitted.task.id, "")
        found.append(priority.value)
    return found


async def test_a_budget_warns_then_stops_low_then_normal_and_high_work_last(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path, BUDGET, CHEAP) as mesh:
        seen = []
        for hours in (4, 2, 2, 1, 4):
            await run_for(mesh, time, hours, priority=Priority.HIGH)
            (budget,) = (await mesh.ledger.costs(Asked(By.MONTH))).budgets
            seen.append((budget.state, await taken(mesh)))
        assert seen == [
            (BudgetState.OPEN, ["high", "normal", "low"]),
            (BudgetState.WARNING, ["high", "normal", "low"]),
            (BudgetState.NO_LOW, ["high", "normal"]),
            (BudgetState.NO_NORMAL, ["high"]),
            (BudgetState.SPENT, []),
        ]


async def test_a_warning_is_told_to_the_caller_and_kept_in_the_tasks_first_event(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path, BUDGET, CHEAP) as mesh:
        assert (await mesh.submit("a")).warning == ""
        await mesh.complete(await mesh.one(), duration_s=0.0)
        await run_for(mesh, time, 6.0)
        submitted = await mesh.submit("a")
        assert submitted.warning.startswith("the mesh's budget is 60% used up for ")
        first = (await mesh.ledger.events(submitted.task.id))[0].body
        assert isinstance(first, StateEvent)
        assert first.message == submitted.warning


async def test_a_refusal_names_the_budget_what_is_spent_and_when_it_begins_anew(
    url: str, tmp_path: Path, time: Time
) -> None:
    time.to(datetime(2026, 12, 31, 12, tzinfo=UTC))
    async with priced(url, tmp_path, BUDGET, CHEAP) as mesh:
        await run_for(mesh, time, 10.0)
        with pytest.raises(BudgetExhausted) as refused:
            await mesh.submit("a")
        said = refused.value.extra
        assert said["budget"] == "mesh"
        assert (said["spent"], said["limit"], said["currency"]) == ("10.000000", "10.000000", "EUR")
        assert (said["still_taken"], said["resets_at"]) == (["high"], "2027-01-01T00:00:00+00:00")
        assert 7000 < float(str(said["retry_after_s"])) < 7200
        time.to(datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC))
        await mesh.submit("a")


async def test_work_under_way_ends_and_an_accepted_request_sent_again_is_not_refused(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path, BUDGET, CHEAP) as mesh:
        terms: dict[str, Any] = {"idempotency_key": "k", "deadline_s": limits.DEADLINE_MAX_S}
        before = await mesh.submit("a b>a", **terms)
        lease = await mesh.one()
        time.forward(15 * HOUR_S)
        await mesh.complete(lease, duration_s=15 * HOUR_S)
        assert await taken(mesh) == []
        again = await mesh.submit("a b>a", **terms)
        assert (again.replayed, again.task.id) == (True, before.task.id)
        while leases := await mesh.claim():
            await mesh.complete(leases[0])
        assert await mesh.state(before.task.id) == "completed"


async def test_a_refused_request_leaves_nothing_behind(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path, BUDGET, CHEAP) as mesh:
        await run_for(mesh, time, 10.0)
        with pytest.raises(BudgetExhausted):
            await mesh.submit("a", idempotency_key="k")
        assert len(await mesh.ledger.list_tasks()) == 1
        time.to(datetime(2035, 1, 1, tzinfo=UTC))
        assert not (await mesh.submit("a", idempotency_key="k")).replayed


async def test_submissions_at_the_same_time_are_all_judged(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path, BUDGET, CHEAP) as mesh:
        await run_for(mesh, time, 8.0)
        (lease,) = await _submitted_and_claimed(mesh)
        time.forward(2 * HOUR_S)
        done, *answers = await asyncio.gather(
            mesh.complete(lease, duration_s=2 * HOUR_S),
            *(mesh.submit("a") for _ in range(40)),
            return_exceptions=True,
        )
        assert not isinstance(done, BaseException)
        assert all(not isinstance(answer, BaseException) or isinstance(answer, BudgetExhausted) for answer in answers)
        accepted = sum(not isinstance(answer, BaseException) for answer in answers)
        assert len(await mesh.ledger.list_tasks(limit=100)) == 2 + accepted
        with pytest.raises(BudgetExhausted):
            await mesh.submit("a")


async def _submitted_and_claimed(mesh: Hands) -> Any:
    await mesh.submit("a")
    return await mesh.claim()


async def test_outcomes_at_the_same_time_lose_no_cost(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path, None, CHEAP) as mesh:
        for _ in range(40):
            await mesh.submit("a b", key_id="key_1")
        leases = await mesh.claim(count=64) + await mesh.claim(count=64)
        assert len(leases) == 80
        time.forward(HOUR_S)
        await asyncio.gather(*(mesh.complete(lease, duration_s=HOUR_S) for lease in leases))
        assert (await rows(mesh, By.NODE))["n1"].caused == Decimal(80)
        assert (await rows(mesh, By.KEY))["key_1"].runs == 80


async def test_a_key_has_a_budget_of_its_own_that_can_be_changed(url: str, tmp_path: Path, time: Time) -> None:
    async with priced(url, tmp_path, None, CHEAP) as mesh:
        key, _ = await mesh.ledger.create_key("small", (), budget=Decimal("2.50"))
        assert key.budget == Decimal("2.50")
        await run_for(mesh, time, 3.0, key_id=key.id)
        with pytest.raises(BudgetExhausted, match="this key's budget") as refused:
            await mesh.submit("a", key_id=key.id)
        assert refused.value.extra["budget"] == key.id
        await mesh.submit("a", key_id="key_1")
        (budget,) = (await mesh.ledger.costs(Asked(By.MONTH, key_id=key.id))).budgets
        assert (budget.budget, budget.limit, budget.spent) == (key.id, Decimal("2.50"), Decimal(3))
        assert (await mesh.ledger.set_budget(key.id, Decimal(5))).budget == Decimal(5)
        await mesh.submit("a", key_id=key.id)
        assert (await mesh.ledger.set_budget(key.id, Decimal(0))).budget == 0
        with pytest.raises(BudgetExhausted):
            await mesh.submit("a", key_id=key.id, priority=Priority.HIGH)
        assert (await mesh.ledger.set_budget(key.id, None)).budget is None
        await mesh.submit("a", key_id=key.id)
        with pytest.raises(NotFound):
            await mesh.ledger.set_budget("key_none", None)


async def test_monthly_prices_count_toward_the_meshs_budget_from_the_first_moment(
    url: str, tmp_path: Path, time: Time
) -> None:
    async with priced(url, tmp_path, {"month": 8}) as mesh:
        assert (await mesh.submit("a")).warning.startswith("the mesh's budget is 93% used up")
        with pytest.raises(BudgetExhausted):
            await mesh.submit("a", priority=Priority.LOW)


async def test_a_run_whose_runner_was_lost_is_charged_once(
    url: str, tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concilium.contracts.limits.RETRY_BASE_S", 0.01)
    prices = parse_prices("{currency: EUR, nodes: {n1: {per_hour: 3600}}}")
    async with hands(url, tmp_path / "blobs", lease_ttl_s=0.1, prices=prices) as mesh:
        task = (await mesh.submit("a")).task
        await mesh.one()

        async def lost() -> int:
            return (await mesh.ledger.sweep()).expired

        await until(lost)
        heir = await mesh.soon(runner="r2")
        time.forward(10)
        await mesh.complete(heir, runner="r2", duration_s=10.0)
        assert (await rows(mesh, By.NODE))["n1"].caused == Decimal(10)
        cost = (await mesh.ledger.get(task.id)).cost
        assert cost is not None
        assert cost.amount == Decimal(10)
