"""The files for Prometheus and Grafana are sound by themselves, and speak of metrics that exist."""

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.agents import ROOT
from support.dashboards import FOLDER, OF_PROMETHEUS, RULES, Query, alerts, board_queries, boards, panels, rule_queries
from support.prometheus import SHIPPED

UNIT_TESTS = Path(__file__).parent / "alerts.test.yml"
PAGE = (ROOT / "docs" / "seeing.md").read_text()
GRAFANA = ROOT / "infra" / "grafana" / "provisioning"
WIDTH = 24
"""Columns of Grafana's grid."""
KINDS = {"timeseries", "stat", "bargauge"}
SERIES = ("", "_total", "_bucket", "_sum", "_count")


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def section(title: str) -> str:
    """Return a section of docs/seeing.md."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def listed(title: str) -> set[str]:
    """Return what the first column of a section's table names."""
    return set(re.findall(r"^\| `([a-z_]+)`", section(title), re.M))


def test_promtool_finds_no_fault_in_configuration_and_rules(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        (tmp_path / name).write_text((SHIPPED / name).read_text().replace("/given/mesh.key", str(tmp_path / "key")))
    (tmp_path / "key").write_text("secret\n")
    assert f"{len(alerts())} rules found" in promtool("check", "config", str(tmp_path / "prometheus.yml"))
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_every_alert_fires_when_it_shall_and_not_beside_it() -> None:
    promtool("test", "rules", str(UNIT_TESTS))


def test_every_alert_is_tested() -> None:
    cases = [case for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_how_bad_it_is_and_has_a_section_to_read(rule: Any) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (page, anchor) == ("docs/seeing.md", rule["alert"].lower())
    assert re.search(rf"^### {rule['alert']}$", PAGE, re.M)


@pytest.mark.parametrize("query", [*rule_queries(), *board_queries()], ids=lambda query: query.where)
def test_every_expression_asks_for_what_is_exported(query: Query, exported: dict[str, set[str]]) -> None:
    series = set().union(*exported.values())
    assert query.names <= series, f"{query.expression} asks for {query.names - series}"


def test_every_metric_is_on_a_dashboard_or_said_not_to_be(exported: dict[str, set[str]]) -> None:
    shown = set().union(*(query.names for query in board_queries()))
    families = {family for family, names in exported.items() if names & shown}
    assert exported.keys() - families == listed("Not on a dashboard")


def test_the_page_lists_every_metric_of_ours(exported: dict[str, set[str]]) -> None:
    ours = {family for family in exported if family.startswith("concilium_")}
    assert listed("Metrics") == ours


@pytest.mark.parametrize("name", sorted(boards()))
def test_a_dashboard_has_the_form_that_grafana_documents(name: str) -> None:
    """https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/"""
    board = boards()[name]
    assert board["uid"] == f"concilium-{name.removesuffix('.json')}"
    assert len(board["uid"]) <= 40
    assert board["title"]
    assert isinstance(board["schemaVersion"], int)
    assert "id" not in board, "an id is another Grafana's"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board) if panel["type"] == "timeseries"]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        assert panel["type"] in KINDS
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


@pytest.mark.parametrize("name", sorted(boards()))
def test_no_panel_lies_on_another_or_beyond_the_edge(name: str) -> None:
    places = [panel["gridPos"] for panel in boards()[name]["panels"]]
    for place in places:
        assert place["w"] > 0
        assert place["h"] > 0
        assert 0 <= place["x"] <= WIDTH - place["w"]
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_grafana_is_told_of_the_source_and_the_folder_of_the_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["uid"]) == ("prometheus", "prometheus")
    (provider,) = yaml.safe_load((GRAFANA / "dashboards" / "concilium.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].endswith(FOLDER.name)


def test_the_names_keep_to_prometheus_conventions(exported: dict[str, set[str]]) -> None:
    """https://prometheus.io/docs/practices/naming/"""
    assert not OF_PROMETHEUS & exported.keys()
    for family in (family for family in exported if family.startswith("concilium_")):
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", family)
        assert not re.search(r"_(ms|millis|minutes|hours|kib|mib|percent)(_|$)", family)
