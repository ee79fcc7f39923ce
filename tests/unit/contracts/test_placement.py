"""Which node may take which work, whatever the rules and the nodes are."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concilium.contracts.config import MeshConfig, PlacementConfig, PlacementRule
from concilium.contracts.errors import Invalid
from concilium.contracts.placement import EVERYTHING, NOTHING, Placement, Share, Site, Work, home_sites
from concilium.contracts.skill import AgentManifest, Catalog, Skill
from concilium.contracts.task import DataClass

SKILLS = ("code.run", "code.check", "vision.ocr", "vision.ask", "tts.speak", "document.extract")
AGENTS = tuple(dict.fromkeys(skill.split(".")[0] for skill in SKILLS))
LABELS = ("home", "gpu", "eu", "fast")
PRIVATE, INTERNAL, PUBLIC = DataClass.PRIVATE, DataClass.INTERNAL, DataClass.PUBLIC


def agent(name: str) -> AgentManifest:
    skills = tuple(
        Skill(name=skill, description="", input_schema={}, output_schema={})
        for skill in SKILLS
        if skill.startswith(f"{name}.")
    )
    return AgentManifest(name=name, description="", module="m", skills=skills)


CATALOG = Catalog(agents={name: agent(name) for name in AGENTS})
CPU_RULES = PlacementConfig().rules
HOME = Site("home", True, frozenset(AGENTS))
GPU_HOME = Site("home", True, frozenset(AGENTS), frozenset({"gpu"}))
VPS = Site("vps", False, frozenset(AGENTS))


def placement(sites: Iterable[Site], rules: Iterable[PlacementRule] = CPU_RULES) -> Placement:
    return Placement(tuple(rules), sites, CATALOG)


def work(skill: str, data_class: DataClass = INTERNAL) -> Work:
    return Work(skill.split(".", maxsplit=1)[0], skill, data_class)


some_labels = st.lists(st.sampled_from(LABELS), max_size=3, unique=True).map(tuple)
some_rule = st.builds(
    PlacementRule,
    name=st.just("rule"),
    work=st.lists(st.sampled_from(SKILLS + AGENTS), max_size=3).map(tuple),
    data=st.lists(st.sampled_from(DataClass), max_size=2).map(tuple),
    only=some_labels.filter(bool),
    never=some_labels,
    yields=st.booleans(),
)
some_site = st.builds(
    Site,
    node=st.sampled_from(("home", "vps", "box", "far")),
    home=st.booleans(),
    agents=st.frozensets(st.sampled_from(AGENTS)),
    labels=st.frozensets(st.sampled_from(LABELS)),
    alive=st.booleans(),
)
some_work = st.builds(work, st.sampled_from(SKILLS), st.sampled_from(DataClass))
rules_and_sites = (st.lists(some_rule, max_size=5), st.lists(some_site, max_size=5, unique_by=lambda site: site.node))


@given(*rules_and_sites, st.sampled_from(SKILLS))
def test_private_data_never_leaves_home_whatever_the_rules(
    rules: list[PlacementRule], sites: list[Site], skill: str
) -> None:
    placed = placement(sites, rules)
    wanted = work(skill, PRIVATE)
    for site in sites:
        share = placed.share(site.node, wanted.agent)
        if share is not None and not site.home:
            assert PRIVATE not in share.whole
            assert PRIVATE not in {data for data, _ in share.parts}
            assert placed.refused_by(wanted, site) == "private-stays-home"


@given(*rules_and_sites, some_work)
def test_a_node_gets_in_a_claim_what_the_rules_allow_and_nothing_else(
    rules: list[PlacementRule], sites: list[Site], wanted: Work
) -> None:
    placed = placement(sites, rules)
    for site in sites:
        share = placed.share(site.node, wanted.agent)
        if wanted.agent not in site.agents:
            assert (share is None) is not site.home
            continue
        assert share is not None
        granted = wanted.data_class in share.whole or wanted.skill in dict(share.parts).get(wanted.data_class, ())
        assert granted is (site.alive and placed.refused_by(wanted, site) is None)


@given(*rules_and_sites, some_work)
def test_rules_that_yield_never_leave_work_without_a_node(
    rules: list[PlacementRule], sites: list[Site], wanted: Work
) -> None:
    placed = placement([Site(s.node, s.home, s.agents, s.labels) for s in sites], rules)
    serving = [site for site in placed.sites if wanted.agent in site.agents]
    somewhere = any(placed.refused_by(wanted, site) is None for site in serving)
    assert somewhere is (bool(serving) and not placed.impossible(wanted))


def test_cpu_work_goes_to_a_cpu_node_while_one_serves_it() -> None:
    both = placement((GPU_HOME, VPS))
    assert both.refused_by(work("code.run"), GPU_HOME) == "cpu-work-to-cpu-nodes"
    assert both.refused_by(work("code.run"), VPS) is None
    assert both.refused_by(work("vision.ocr"), GPU_HOME) is None
    assert both.share("home", "code") == Share(frozenset({PRIVATE}))
    away = placement((GPU_HOME, Site("vps", False, frozenset(AGENTS), alive=False)))
    assert away.share("home", "code") == EVERYTHING
    assert away.share("vps", "code") == NOTHING


def test_work_no_node_may_ever_take_is_refused_by_the_name_of_the_rule() -> None:
    assert placement((VPS,)).impossible(work("vision.ocr", PRIVATE)) == ("private-stays-home",)
    assert placement((VPS, HOME)).impossible(work("vision.ocr", PRIVATE)) == ()
    assert placement(()).impossible(work("vision.ocr", PRIVATE)) == ()
    asleep = placement((Site("vps", False, frozenset(AGENTS), alive=False),))
    assert asleep.impossible(work("vision.ocr", PUBLIC)) == ()


def test_a_rule_may_name_one_skill_of_an_agent() -> None:
    rule = PlacementRule(name="no-questions", work=("vision.ask",), never=("eu",))
    eu = Site("eu-1", False, frozenset(AGENTS), frozenset({"eu"}))
    parts = ((PUBLIC, ("vision.ocr",)), (INTERNAL, ("vision.ocr",)))
    assert placement((eu,), (rule,)).share("eu-1", "vision") == Share(frozenset(), parts)
    assert placement((eu,), (rule,)).share("eu-1", "code") == Share(frozenset({PUBLIC, INTERNAL}))


def test_a_rented_node_with_the_name_of_home_is_not_taken_for_home() -> None:
    namesake = placement((HOME, Site("home", False, frozenset(AGENTS))))
    assert namesake.share("home", "code") == Share(frozenset({PUBLIC, INTERNAL}))


def test_a_node_cannot_give_itself_the_label_home() -> None:
    liar = Site("vps", False, frozenset(AGENTS), frozenset({"home"}))
    assert placement((liar,)).refused_by(work("code.run", PRIVATE), liar) == "private-stays-home"


def test_a_rule_about_work_that_nobody_does_is_refused() -> None:
    with pytest.raises(Invalid, match=r"no agent does: codee"):
        placement((), (PlacementRule(name="typo", work=("codee",), only=("home",)),))


@pytest.mark.parametrize(
    ("address", "at_home"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost:9000", True),
        ("http://vision:8410", True),
        ("http://10.1.2.3:8410", True),
        ("http://10.2.2.3:8410", False),
        ("https://agent.example.org/a", False),
        ("https://vision.example.org", False),
    ],
)
def test_an_agent_by_url_is_home_here_and_at_the_addresses_listed(address: str, at_home: bool) -> None:
    config = MeshConfig.model_validate(
        {
            "agents": {"start": ["code"]},
            "runner": {"agents": {"vision": address}, "labels": ["gpu"]},
            "placement": {"home": ["vision", "10.1.0.0/16"]},
        }
    )
    placed = placement(home_sites(config))
    assert (placed.share("home", "vision") == EVERYTHING) is at_home
    assert placed.share("home", "code") == EVERYTHING
    assert (placed.impossible(work("vision.ocr", PRIVATE)) == ("private-stays-home",)) is not at_home
