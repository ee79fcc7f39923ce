"""Which node may take which work: rules as data, judged by pure functions.

`PRIVATE_FIRST` is judged before any rule of the configuration, so private data stays home whatever that says.
A rule that yields is a preference: it narrows the nodes that are left, and never to none.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from concilium.contracts.config import HOME_LABEL, PRIVATE_STAYS_HOME, MeshConfig, PlacementRule
from concilium.contracts.errors import Invalid
from concilium.contracts.skill import Catalog
from concilium.contracts.task import DataClass

PRIVATE_FIRST = PlacementRule(name=PRIVATE_STAYS_HOME, data=(DataClass.PRIVATE,), only=(HOME_LABEL,))


@dataclass(frozen=True, slots=True)
class Work:
    """What rules look at of a step."""

    agent: str
    skill: str
    data_class: DataClass


@dataclass(frozen=True)
class Site:
    """A node as rules see it, with the agents it serves."""

    node: str
    home: bool
    agents: frozenset[str]
    labels: frozenset[str] = frozenset()
    alive: bool = True
    """Whether it answers and is given work; one that is not gets nothing, and is not preferred to others."""
    down: frozenset[str] = frozenset()
    """Those of its agents that do not run now; their work is not given to it."""

    def takes(self, agent: str) -> bool:
        """Whether an agent's work may be given to it now."""
        return self.alive and agent not in self.down

    @cached_property
    def marks(self) -> frozenset[str]:
        """Its labels, with `HOME_LABEL` if and only if it is home."""
        return (self.labels | {HOME_LABEL}) if self.home else (self.labels - {HOME_LABEL})


@dataclass(frozen=True)
class Share:
    """What of one agent's work a node may take."""

    whole: frozenset[DataClass] = frozenset()
    """Data classes of which every skill is allowed."""
    parts: tuple[tuple[DataClass, tuple[str, ...]], ...] = ()
    """Of other data classes, the skills that are."""

    @property
    def everything(self) -> bool:
        return len(self.whole) == len(DataClass)


EVERYTHING = Share(frozenset(DataClass))
NOTHING = Share()


def home_sites(config: MeshConfig) -> tuple[Site, ...]:
    """Return the node that this configuration is of.

    An agent in ``runner.agents`` whose address is not home is called by the same runner, but what it is sent leaves
    home: that part of the node is a site of its own.
    """
    runner, labels = config.runner, frozenset(config.runner.labels)
    away = frozenset(name for name, url in runner.agents.items() if not is_home(url, config.placement.home))
    here = frozenset({*config.agents.start, *runner.agents}) - away
    sites = (Site(runner.node, True, here, labels), Site(runner.node, False, away))
    return tuple(site for site in sites if site.agents or site.home)


def is_home(url: str, home: Sequence[str]) -> bool:
    """Whether an address is this machine's or listed as home. A name is compared, never looked up."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or host in home:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in _networks(home))


def _networks(home: Sequence[str]) -> Iterator[IPv4Network | IPv6Network]:
    for text in home:
        with suppress(ValueError):  # a host's name
            yield ip_network(text)


class Placement:
    """Rules and nodes at one moment. Immutable: a node that comes or goes makes a new one."""

    def __init__(self, rules: Sequence[PlacementRule], sites: Iterable[Site], catalog: Catalog) -> None:
        """Take the rules after `PRIVATE_FIRST`. Raises `Invalid` for work that the catalog does not know."""
        self._rules = (PRIVATE_FIRST, *rules)
        self.sites = tuple(sites)
        self._skills = {name: tuple(s.name for s in agent.skills) for name, agent in catalog.agents.items()}
        known = {*self._skills, *(skill for skills in self._skills.values() for skill in skills)}
        for rule in rules:
            unknown = sorted(set(rule.work) - known)
            if unknown:
                raise Invalid(f"placement rule {rule.name} names work that no agent does: {', '.join(unknown)}")
        self._shares: dict[tuple[str, str], Share | None] = {}

    def share(self, node: str, agent: str) -> Share | None:
        """Return what a node may take of an agent's work; None when it does not serve the agent.

        A node that is home serves every agent: one may be started there by hand.
        """
        key = node, agent
        if key not in self._shares:
            # Should a rented node ever bear home's name, it is not taken for home.
            here = sorted((site for site in self.sites if site.node == node), key=lambda site: site.home)
            site = next((site for site in here if agent in site.agents), next((s for s in here if s.home), None))
            self._shares[key] = None if site is None else self._share(site, agent) if site.takes(agent) else NOTHING
        return self._shares[key]

    def alone(self, agent: str) -> bool:
        """Whether no more than one node serves the agent."""
        return len(list(self._serving(agent))) <= 1

    def refused_by(self, work: Work, site: Site) -> str | None:
        """Return the name of the rule that refuses a node the work now, None when it may take it."""
        for rule in self._firm():
            if _refuses(rule, work, site):
                return rule.name
        rivals = [other for other in self._serving(work.agent) if other.takes(work.agent) and other != site]
        left = [site, *(rival for rival in rivals if not self._never(work, rival))]
        for rule in self._rules:
            if rule.yields:
                kept = [one for one in left if not _refuses(rule, work, one)]
                if kept and site not in kept:
                    return rule.name
                left = kept or left
        return None

    def impossible(self, work: Work) -> tuple[str, ...]:
        """Return the rules by which no node may ever take the work; none when one may, or none serves the agent."""
        names = [self._never(work, site) for site in self._serving(work.agent)]
        return tuple(dict.fromkeys(name for name in names if name)) if all(names) else ()

    def _share(self, site: Site, agent: str) -> Share:
        # A skill that the catalog has lost meanwhile is judged by the rules that name no skill.
        split = any("." in work for rule in self._rules for work in rule.work)
        skills = self._skills.get(agent, ()) if split else ()
        whole: set[DataClass] = set()
        parts: list[tuple[DataClass, tuple[str, ...]]] = []
        for data_class in DataClass:
            allowed = tuple(s for s in ("", *skills) if self.refused_by(Work(agent, s, data_class), site) is None)
            if len(allowed) == 1 + len(skills):
                whole.add(data_class)
            elif any(allowed):
                parts.append((data_class, tuple(skill for skill in allowed if skill)))
        return Share(frozenset(whole), tuple(parts))

    def _never(self, work: Work, site: Site) -> str | None:
        """Return the firm rule that refuses a node the work, whoever else is there."""
        return next((rule.name for rule in self._firm() if _refuses(rule, work, site)), None)

    def _firm(self) -> Iterator[PlacementRule]:
        return (rule for rule in self._rules if not rule.yields)

    def _serving(self, agent: str) -> Iterator[Site]:
        return (site for site in self.sites if agent in site.agents)


def _refuses(rule: PlacementRule, work: Work, site: Site) -> bool:
    """Whether a rule, taken by itself, means the work and refuses it the node."""
    if rule.work and not {work.agent, work.skill} & set(rule.work):
        return False
    if rule.data and work.data_class not in rule.data:
        return False
    return bool(rule.only and not site.marks & set(rule.only)) or bool(site.marks & set(rule.never))
