"""A claim gets what the node may take, and only its holder ends a step: the same on both databases."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from concilium.contracts.config import PlacementRule
from concilium.contracts.errors import Forbidden, StaleLease
from concilium.contracts.placement import Placement, Site
from concilium.contracts.skill import AgentManifest, Catalog, Skill
from concilium.contracts.task import DataClass
from support.fold import AGENT, SKILL
from support.ledgers import Hands, hands

ECHO = AgentManifest(
    name=AGENT,
    description="",
    module="m",
    skills=(Skill(name=SKILL, description="", input_schema={}, output_schema={}),),
)
CATALOG = Catalog(agents={AGENT: ECHO})
HOME, VPS = Site("home", True, frozenset({AGENT})), Site("vps", False, frozenset({AGENT}))


def placed(*sites: Site, rules: Iterable[PlacementRule] = ()) -> Placement:
    return Placement(tuple(rules), sites, CATALOG)


async def tasks_of(mesh: Hands, node: str) -> list[str]:
    """Claim everything that a node gets."""
    return [lease.task_id for lease in await mesh.claim(node=node, runner=f"r-{node}", count=10)]


async def test_private_steps_are_leased_to_home_nodes_alone(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs", placement=lambda: placed(HOME, VPS)) as mesh:
        private = (await mesh.submit(data_class=DataClass.PRIVATE)).task.id
        internal = (await mesh.submit()).task.id
        public = (await mesh.submit(data_class=DataClass.PUBLIC)).task.id
        assert await tasks_of(mesh, "vps") == [internal, public]
        assert await tasks_of(mesh, "vps") == []
        assert await tasks_of(mesh, "home") == [private]


async def test_a_completion_claims_no_more_than_a_claim(url: str, tmp_path: Path) -> None:
    async with hands(url, tmp_path / "blobs", placement=lambda: placed(HOME, VPS)) as mesh:
        await mesh.submit()
        await mesh.submit(data_class=DataClass.PRIVATE)
        (lease,) = await mesh.claim(node="vps")
        wish = {"agent": AGENT, "node": "vps", "runner": "r1", "count": 10}
        done = await mesh.complete(lease, node="vps", claim=wish)
        assert (done.finished, done.leases) == (True, ())


async def test_a_node_that_is_not_of_the_mesh_claims_nothing(url: str, tmp_path: Path) -> None:
    sites = [HOME, VPS]
    async with hands(url, tmp_path / "blobs", placement=lambda: placed(*sites)) as mesh:
        await mesh.submit()
        await mesh.submit()
        with pytest.raises(Forbidden, match="node 'stranger' does not serve agent 'echo'"):
            await mesh.claim(node="stranger")
        (lease,) = await mesh.claim(node="vps")
        sites.remove(VPS)
        # It may hand in what it was leased before; more it does not get.
        wish = {"agent": AGENT, "node": "vps", "runner": "r1"}
        assert (await mesh.complete(lease, node="vps", claim=wish)).leases == ()
        with pytest.raises(Forbidden):
            await mesh.claim(node="vps")


async def test_a_rule_that_names_a_skill_bars_that_skill_alone(url: str, tmp_path: Path) -> None:
    rules = (PlacementRule(name="no-echo", work=(SKILL,), data=(DataClass.PUBLIC,), only=("home",)),)
    async with hands(url, tmp_path / "blobs", placement=lambda: placed(HOME, VPS, rules=rules)) as mesh:
        public = (await mesh.submit(data_class=DataClass.PUBLIC)).task.id
        internal = (await mesh.submit()).task.id
        assert await tasks_of(mesh, "vps") == [internal]
        assert await tasks_of(mesh, "home") == [public]


@pytest.mark.parametrize("other", [{"runner": "r2"}, {"node": "n2"}])
async def test_a_step_is_completed_by_its_holder_alone(mesh: Hands, other: dict[str, str]) -> None:
    submitted = await mesh.submit()
    lease = await mesh.one()
    with pytest.raises(StaleLease, match="not that of runner"):
        await mesh.complete(lease, **other)
    assert await mesh.state(submitted.task.id) == "working"
    await mesh.complete(lease)
    assert await mesh.state(submitted.task.id) == "completed"
