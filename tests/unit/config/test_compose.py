"""What docker-compose.yml sets is a configuration, and means what it should."""

from pathlib import Path
from typing import Any

import yaml

from concilium.contracts.config import parse_config
from concilium.contracts.placement import is_home

STACK: dict[str, Any] = yaml.safe_load(Path("docker-compose.yml").read_text(encoding="utf-8"))


def test_the_agents_of_the_home_stack_are_home_so_that_they_may_see_private_data() -> None:
    for service in ("control", "runner"):
        said = STACK["services"][service]["environment"]
        found = parse_config("", {name: value for name, value in said.items() if name.startswith("CONCILIUM_RUNNER")})
        placed = parse_config("", {name: said[name] for name in ("CONCILIUM_PLACEMENT__HOME",)})
        assert found.runner.agents
        for url in found.runner.agents.values():
            assert is_home(url, placed.placement.home), (service, url)
