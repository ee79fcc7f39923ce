"""The dashboards and alert rules the mesh ships, and what their expressions ask for."""

import json
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from support.agents import ROOT

FOLDER = ROOT / "infra" / "grafana" / "dashboards"
RULES = ROOT / "infra" / "prometheus" / "alerts.yml"
OF_PROMETHEUS = frozenset({"up"})
"""Series that Prometheus itself makes of each scrape."""


@dataclass(frozen=True)
class Query:
    """One expression and where it stands."""

    where: str
    expression: str

    @property
    def names(self) -> set[str]:
        """The names of the series it selects, read from its syntax tree."""
        found: set[str] = set()

        def visit(part: promql_parser.Expr) -> bool:
            selector = getattr(part, "vector_selector", part)
            if isinstance(selector, promql_parser.VectorSelector):
                assert selector.name, f"{self.where}: a selector without a name"
                found.add(selector.name)
            return True

        promql_parser.walk(promql_parser.parse(self.expression), visit)
        return found - OF_PROMETHEUS


def boards() -> dict[str, Any]:
    """Return each dashboard by its file's name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: Any) -> list[Any]:
    """Return a dashboard's panels without its rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def board_queries() -> list[Query]:
    """Return every expression of every dashboard."""
    return [
        Query(f"{name}: {panel['title']}", target["expr"])
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def alerts() -> list[Any]:
    """Return every alert rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def rule_queries() -> list[Query]:
    """Return the expression of every alert rule."""
    return [Query(rule["alert"], rule["expr"]) for rule in alerts()]
