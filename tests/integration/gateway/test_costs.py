"""Costs and budgets through the API: who sees what, and how a budget warns and refuses."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from concilium.contracts.prices import EngineUse
from support.control_plane import Client, ControlPlane
from support.ports import free_port

PRICES = "{currency: EUR, nodes: {home: {}}, engines: {engine: {input_per_million: 1}}}"


class People:
    """An admin, a runner, and users of a control plane with prices."""

    def __init__(self, plane: ControlPlane, session: aiohttp.ClientSession) -> None:
        self.plane = plane
        self.admin = Client(session, plane, plane.key())
        self.runner = Client(session, plane, plane.key("runner"))

    async def user(self, **members: Any) -> Client:
        return await self.admin.new_key("tasks:read", "tasks:write", **members)

    async def spend(self, user: Client, euros: float) -> str:
        """Have a task of this user's cost exactly that much; return its id."""
        reply = await user.ask("a", priority="high")
        assert reply.status == 202, reply.body
        lease = await self.runner.claim_one()
        done = await self.runner.complete(
            lease, duration_s=0.0, used=(EngineUse(engine="engine", input_tokens=round(euros * 1e6)),)
        )
        assert done.status == 200, done.body
        return str(reply.json["id"])


@pytest.fixture
def prepared(tmp_path: Path) -> ControlPlane:
    plane = ControlPlane(tmp_path / "home", free_port(), {"CONCILIUM_BUDGETS__MONTH": "10"})
    plane.home.mkdir()
    (plane.home / "prices.yaml").write_text(PRICES)
    return plane


@pytest.fixture
def people(prepared: ControlPlane, session: aiohttp.ClientSession) -> Any:
    prepared.start()
    yield People(prepared, session)
    prepared.stop()


async def test_a_task_tells_its_cost_and_a_key_sees_its_own_costs_alone(people: People) -> None:
    one, other = await people.user(), await people.user()
    task_id = await people.spend(one, 1.25)
    await people.spend(other, 0.5)
    assert (await one.task(task_id))["cost"] == {"amount": "1.250000", "currency": "EUR", "unpriced": 0}
    (step,) = (await one.call("GET", f"/v1/tasks/{task_id}/steps")).json["steps"]
    assert step["cost"] == "1.250000"
    for by in ("task", "key", "node", "month"):
        mine = (await one.call("GET", f"/v1/costs?by={by}")).json
        everything = (await people.admin.call("GET", f"/v1/costs?by={by}")).json
        assert (mine["total"], everything["total"], mine["currency"]) == ("1.250000", "1.750000", "EUR")
        assert sum(Decimal(row["total"]) for row in mine["rows"]) == Decimal("1.25")
        assert sum(Decimal(row["total"]) for row in everything["rows"]) == Decimal("1.75")
        assert mine["budgets"] == []
        assert [budget["budget"] for budget in everything["budgets"]] == ["mesh"]


async def test_costs_need_a_key_that_reads_and_a_sensible_question(people: People) -> None:
    assert (await Client(people.admin.session, people.plane, "").call("GET", "/v1/costs")).problem == "unauthorized"
    assert (await people.runner.call("GET", "/v1/costs")).problem == "forbidden"
    for query in ("by=colour", "month=2026-13", "month=11", "limit=0", "before=%00"):
        assert (await people.admin.call("GET", f"/v1/costs?{query}")).problem == "invalid"
    assert (await people.admin.call("GET", "/v1/costs?by=task&month=2020-01")).json["rows"] == []


async def test_a_budget_warns_then_refuses_by_priority_and_says_when_it_begins_anew(people: People) -> None:
    user = await people.user()
    assert "Concilium-Budget-Warning" not in (await user.ask("a")).headers
    await people.runner.complete(await people.runner.claim_one())
    await people.spend(user, 8.0)
    warned = await user.ask("a")
    assert "the mesh's budget is 80% used up" in warned.headers["Concilium-Budget-Warning"]
    await people.runner.complete(await people.runner.claim_one())
    await people.spend(user, 2.0)
    refused = await user.ask("a")
    assert (refused.status, refused.problem) == (429, "budget-exhausted")
    body = refused.json
    assert (body["budget"], body["spent"], body["limit"]) == ("mesh", "10.000000", "10.000000")
    assert (body["currency"], body["still_taken"]) == ("EUR", ["high"])
    assert body["resets_at"].endswith("-01T00:00:00+00:00")
    assert int(refused.headers["Retry-After"]) == pytest.approx(body["retry_after_s"], abs=1)
    await people.spend(user, 1.0)
    last = await user.ask("a", priority="high")
    assert (last.problem, last.json["still_taken"]) == ("budget-exhausted", [])


async def test_every_door_refuses_when_a_budget_is_used_up(people: People) -> None:
    user = await people.user(budget="1.00")
    task_id = await people.spend(user, 2.0)
    assert (await user.call("POST", f"/v1/tasks/{task_id}/replay")).problem == "budget-exhausted"
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "a"}]}
    headers = {"A2A-Version": "1.0"}
    refused = await user.call("POST", "/a2a/message:send", json={"message": message}, headers=headers)
    assert (refused.status, refused.json["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert (await people.admin.ask("a")).status == 202


async def test_a_keys_budget_is_set_changed_and_taken_away(people: People) -> None:
    user = await people.user(budget=0.5)
    await people.spend(user, 0.75)
    assert (await user.ask("a")).problem == "budget-exhausted"
    (budget,) = (await user.call("GET", "/v1/costs")).json["budgets"]
    assert (budget["limit"], budget["spent"], budget["state"]) == ("0.500000", "0.750000", "spent")
    path = f"/v1/keys/{budget['budget']}/budget"
    assert (await people.admin.call("PUT", path, json={"budget": "2.5"})).json["budget"] == "2.500000"
    assert (await user.ask("a")).status == 202
    assert (await people.admin.call("PUT", path, json={"budget": None})).json["budget"] is None
    assert (await user.call("PUT", path, json={"budget": None})).problem == "forbidden"
    for wrong in (-1, "NaN", "1e400", True, "0.0000001", {}):
        assert (await people.admin.call("PUT", path, json={"budget": wrong})).problem == "invalid"
    assert (await people.admin.call("PUT", "/v1/keys/key_none/budget", json={"budget": 1})).problem == "not-found"
    assert (await people.admin.call("POST", "/v1/keys", json={"name": "x", "scopes": [], "budget": -1})).status == 422


async def test_prometheus_is_told_costs_and_budgets(people: People) -> None:
    await people.spend(await people.user(), 2.5)
    text = (await people.admin.call("GET", "/metrics")).body.decode()
    assert 'concilium_cost_month{currency="EUR",kind="engine",name="engine"} 2.5' in text
    assert 'concilium_budget_used_ratio{budget="mesh"} 0.25' in text


async def test_a_warning_is_logged_when_a_budget_comes_to_another_state(prepared: ControlPlane) -> None:
    (prepared.home / "prices.yaml").write_text("{currency: EUR, nodes: {vps: {per_month: 9.5}}}")
    prepared.start()
    try:
        async with aiohttp.ClientSession() as session:
            admin = Client(session, prepared, prepared.key())
            assert (await admin.ask("a")).status == 202
            while '"budget": "mesh"' not in prepared.log.read_text():
                assert (await admin.call("GET", "/health")).status == 200
        assert '"state": "no-low"' in prepared.log.read_text()
    finally:
        prepared.stop()


@pytest.mark.parametrize(
    ("prices", "named"),
    [
        ("nodes: {home: {per_hour: -1}}", "nodes.home.per_hour"),
        ("nodes: {home: {per_month: .nan}}", "nodes.home.per_month"),
        ("nodes: {vps: {per_month: 12}}", "budgets.month"),
    ],
)
def test_a_control_plane_does_not_start_with_prices_that_make_no_sense(
    prepared: ControlPlane, prices: str, named: str
) -> None:
    (prepared.home / "prices.yaml").write_text(prices)
    with pytest.raises(AssertionError, match=named):
        prepared.start()
    prepared.stop()


async def command(plane: ControlPlane, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run the command against a control plane; return its exit code and what it said."""
    where = ("--url", plane.url, "--key-file", str(plane.home / "keys" / "admin.key"))
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("concilium")), *where, *arguments),
        env=os.environ | {"COLUMNS": "160"} | environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_sums_as_lines_bars_json_and_a_chart(people: People, tmp_path: Path) -> None:
    task_id = await people.spend(await people.user(), 8.5)
    code, out, err = await command(people.plane, "costs")
    assert code == 0, err
    assert out.split("\t")[:2] == ["engine", "engine"]
    assert out.rstrip("\n").split("\t")[-1] == "8.5000"
    assert "budget mesh: 8.50 of 10.00 EUR (85%), warning" in err
    for by, name in (("task", task_id), ("month", f"{datetime.now(UTC):%Y-%m}")):
        assert (await command(people.plane, "costs", "--by", by))[1].startswith(f"{name}\t")
    code, out, _ = await command(people.plane, "costs", "--by", "key", FORCE_COLOR="1", TERM="xterm")
    assert code == 0
    assert "█" * 24 in out
    chart = tmp_path / "costs.svg"
    code, out, _ = await command(people.plane, "costs", "--json", "--plot", str(chart))
    assert (code, json.loads(out)["total"]) == (0, "8.500000")
    assert ">engine<" in chart.read_text()
    assert ">8.5000<" in chart.read_text()
    assert (await command(people.plane, "tasks", "show", task_id))[1].count("cost 8.5000 EUR") == 1


async def test_the_command_says_what_is_wrong_and_sets_the_budget_of_a_key(people: People, tmp_path: Path) -> None:
    assert (await command(people.plane, "costs", "--by", "colour"))[0] == 2
    code, _, err = await command(people.plane, "costs", "--month", "2026-13")
    assert (code, "month" in err) == (1, True)
    code, _, err = await command(people.plane, "costs", "--plot", str(tmp_path / "costs.png"))
    assert (code, ".svg" in err) == (2, True)
    code, out, err = await command(people.plane, "keys", "create", "small", "--budget", "2.50", "--json")
    assert code == 0, err
    key = json.loads(out)["key"]
    assert key["budget"] == "2.500000"
    assert (await command(people.plane, "keys", "budget", key["id"], "7"))[1] == f"{key['id']}: 7.000000\n"
    assert (await command(people.plane, "keys", "budget", key["id"], "none"))[1].endswith("no limit of its own\n")
    code, _, err = await command(people.plane, "keys", "budget", key["id"], "-1")
    assert (code, "budget" in err) == (2, True), err
