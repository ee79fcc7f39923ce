"""Which node a runner serves: the machine at home, or a rented one behind home's end of its link."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from concilium.contracts.errors import Invalid
from concilium.home import Home


@dataclass(frozen=True)
class Served:
    """A node as its runner sees it."""

    node: str
    urls: Mapping[str, str]
    """Agent to the base URL at which it is reached from here."""
    key: str = "mesh"
    """Name of the secret that its agents are shown: a rented node has one of its own."""

    @property
    def rented(self) -> bool:
        """Whether it is another's machine, whose answers are to be checked."""
        return self.key != "mesh"


def served(home: Home, node: str, agents: Sequence[str]) -> Served:
    """Return what the command line names, ``NAME=URL`` for each agent; without a node the machine at home.

    Raises `Invalid` for an agent without a URL.
    """
    if not node:
        return Served(home.config.runner.node, home.agent_urls())
    pairs = [agent.partition("=") for agent in agents]
    if not all(name and url for name, _, url in pairs):
        raise Invalid("write --agent NAME=URL")
    return Served(node, {name: url for name, _, url in pairs}, f"node-{node}")
