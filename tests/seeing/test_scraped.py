"""A real Prometheus scrapes a real mesh by the files we ship, and the dashboards' questions have answers."""

import math
import time
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest

from support.dashboards import Query, alerts, board_queries
from support.mesh import Mesh
from support.prometheus import WAIT_S, Prometheus, ask, scraped

CARDINALITY_MAX = 1500
"""Series of a small mesh's control plane: a label that grows with the tasks would soon pass it."""


def soon(look: Callable[[], Any], said: Callable[[], object] = lambda: "") -> Any:
    """Return what is found once something is."""
    deadline = time.monotonic() + WAIT_S
    while not (found := look()):
        assert time.monotonic() < deadline, said()
        time.sleep(0.2)
    return found


def test_every_target_is_found_and_up(watched: Prometheus) -> None:
    wanted = {("control", None), ("agents", "noop"), ("agents", "code"), ("prometheus", None)}

    def healthy() -> bool:
        targets = watched.targets()
        known = {(target["labels"]["job"], target["labels"].get("agent")) for target in targets}
        return known == wanted and all(target["health"] == "up" for target in targets)

    soon(healthy, watched.targets)
    assert {row["metric"]["node"] for row in watched.ask('up{job="agents"}')} == {"home"}


@pytest.mark.parametrize("query", board_queries(), ids=lambda query: query.where)
def test_the_dashboards_questions_have_answers(query: Query, watched: Prometheus) -> None:
    def numbers() -> list[float]:
        values = (float(row["value"][1]) for row in watched.ask(query.expression))
        return [value for value in values if math.isfinite(value)]

    soon(numbers, lambda: watched.ask(query.expression))


def test_prometheus_judges_every_rule_and_none_wakes_anybody(watched: Prometheus) -> None:
    def judged() -> list[Any]:
        rules = [rule for group in watched.get("rules")["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] == "ok" for rule in rules) else []

    rules = soon(judged, lambda: watched.get("rules"))
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in alerts()}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_an_agent_that_ends_is_seen_to_be_down(mesh: Mesh, watched: Prometheus) -> None:
    mesh.kill("noop")
    try:
        soon(lambda: watched.ask('up{agent="noop"} == 0'))
        soon(lambda: [a for a in watched.get("alerts")["alerts"] if a["labels"]["alertname"] == "AgentDown"])
    finally:
        mesh.restart("noop")
    soon(lambda: watched.ask('up{agent="noop"} == 1'))


def test_more_work_makes_no_more_series(mesh: Mesh, watched: Prometheus) -> None:
    assert watched
    ask(mesh)
    before = scraped(mesh, mesh.key("mesh"))
    done = ask(mesh)
    after = scraped(mesh, mesh.key("mesh"))
    assert len(after.splitlines()) == len(before.splitlines()) < CARDINALITY_MAX
    assert done["id"] not in after


def test_nobody_is_told_without_a_key(mesh: Mesh) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        scraped(mesh, "wrong")
    refused.value.close()
    assert refused.value.code == 401
