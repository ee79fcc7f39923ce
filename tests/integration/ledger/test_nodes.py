"""Rented nodes in the ledger: one use of a token, no work when drained, nothing taken when revoked."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from concilium.contracts.errors import Conflict, NotFound, StaleLease
from concilium.contracts.nodes import Capabilities, Dial, Gpu, Invitation, NodeState, Seen
from concilium.ledger import Ledger, nodes
from support.ledgers import Hands

KEY, OTHER_KEY = "a" * 64, "b" * 64
NEVER = 4e9


def wish(name: str = "vps-1", **terms: Any) -> Invitation:
    base = {"name": name, "dial": Dial.HOME, "address": "203.0.113.7:8443", "agents": ("code",), "labels": ("eu",)}
    return Invitation.model_validate(base | terms)


async def enrolled(ledger: Ledger, name: str = "vps-1", **terms: Any) -> None:
    await ledger.invite_node(wish(name, **terms), f"inv-{name}", 60)
    await ledger.enrol_node(name, f"inv-{name}", KEY, NEVER)


async def test_a_token_enrols_one_key_and_the_second_is_refused_and_counted(mesh: Hands) -> None:
    made = await mesh.ledger.invite_node(wish(price_per_hour=Decimal("0.69")), "inv-1", 60)
    assert (made.state, made.price_per_hour, made.takes_work) == (NodeState.INVITED, Decimal("0.69"), False)
    first = await mesh.ledger.enrol_node("vps-1", "inv-1", KEY, NEVER)
    assert (first.state, first.fingerprint) == (NodeState.ENROLLED, KEY)
    # The answer may have been lost: the same key may ask again.
    assert await mesh.ledger.enrol_node("vps-1", "inv-1", KEY, NEVER) == first
    with pytest.raises(Conflict, match="used already"):
        await mesh.ledger.enrol_node("vps-1", "inv-1", OTHER_KEY, NEVER)
    node = await mesh.ledger.get_node("vps-1")
    assert (node.fingerprint, node.refusals) == (KEY, 1)
    assert "used already" in node.last_refusal


async def test_of_two_keys_that_show_one_token_at_once_exactly_one_enrols(mesh: Hands) -> None:
    await mesh.ledger.invite_node(wish(), "inv-1", 60)
    keys = [f"{number:064x}" for number in range(8)]
    tries = (mesh.ledger.enrol_node("vps-1", "inv-1", key, NEVER) for key in keys)
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in found) == len(keys) - 1
    assert (await mesh.ledger.get_node("vps-1")).refusals == len(keys) - 1


async def test_an_expired_or_replaced_invitation_is_refused_in_words(mesh: Hands) -> None:
    await mesh.ledger.invite_node(wish(), "inv-1", -1)
    with pytest.raises(Conflict, match="expired"):
        await mesh.ledger.enrol_node("vps-1", "inv-1", KEY, NEVER)
    await mesh.ledger.invite_node(wish(), "inv-2", 60)
    with pytest.raises(Conflict, match="replaced"):
        await mesh.ledger.enrol_node("vps-1", "inv-1", KEY, NEVER)
    with pytest.raises(Conflict, match="no node 'other'"):
        await mesh.ledger.enrol_node("other", "inv-2", KEY, NEVER)


async def test_a_live_node_is_not_invited_again_but_a_revoked_name_is(mesh: Hands) -> None:
    await enrolled(mesh.ledger)
    with pytest.raises(Conflict, match="revoke it first"):
        await mesh.ledger.invite_node(wish(), "inv-2", 60)
    await mesh.ledger.revoke_node("vps-1")
    with pytest.raises(Conflict, match="not enrolled"):
        await mesh.ledger.renew_node("vps-1", KEY, KEY, NEVER)
    again = await mesh.ledger.invite_node(wish(agents=("tts",)), "inv-2", 60)
    assert (again.agents, again.fingerprint) == (("tts",), None)
    with pytest.raises(Conflict, match="not enrolled"):
        await mesh.ledger.renew_node("vps-1", KEY, KEY, NEVER)


async def test_a_nodes_former_key_is_taken_until_a_while_after_the_next_one_was_seen(
    mesh: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enrolled(mesh.ledger)
    with pytest.raises(Conflict, match="not enrolled with this key"):
        await mesh.ledger.renew_node("vps-1", OTHER_KEY, OTHER_KEY, NEVER)
    node = await mesh.ledger.renew_node("vps-1", KEY, OTHER_KEY, NEVER)
    assert (node.fingerprint, node.former_fingerprint, node.former_until) == (OTHER_KEY, KEY, None)
    # The answer was lost: it asks again with the key that it has.
    assert await mesh.ledger.renew_node("vps-1", KEY, OTHER_KEY, NEVER) == node
    has = Capabilities(cpus=1, ram_bytes=1)
    await mesh.ledger.node_seen("vps-1", Seen(capabilities=has, fingerprint=KEY, skew_s=0))
    assert (await mesh.ledger.get_node("vps-1")).former_until is None
    await mesh.ledger.node_seen("vps-1", Seen(capabilities=has, fingerprint=OTHER_KEY, skew_s=0))
    node = await mesh.ledger.get_node("vps-1")
    assert node.former_until is not None
    assert node.has_key(KEY, node.former_until - timedelta(seconds=1))
    assert not node.has_key(KEY, node.former_until)
    assert node.has_key(OTHER_KEY, node.former_until)
    monkeypatch.setattr(nodes, "FORMER_S", 0)
    await mesh.ledger.renew_node("vps-1", OTHER_KEY, "c" * 64, NEVER)
    await mesh.ledger.node_seen("vps-1", Seen(capabilities=has, fingerprint="c" * 64, skew_s=0))
    with pytest.raises(Conflict, match="not enrolled with this key"):
        await mesh.ledger.renew_node("vps-1", OTHER_KEY, "d" * 64, NEVER)


async def test_a_drained_node_ends_what_it_has_and_gets_nothing_new(mesh: Hands) -> None:
    await enrolled(mesh.ledger)
    await mesh.submit("a")
    await mesh.submit("b")
    (lease,) = await mesh.claim(node="vps-1")
    assert (await mesh.ledger.drain_node("vps-1")).state is NodeState.DRAINING
    assert await mesh.claim(node="vps-1") == ()
    done = await mesh.complete(lease, node="vps-1")
    assert done.finished
    await mesh.ledger.undrain_node("vps-1")
    assert len(await mesh.claim(node="vps-1")) == 1


async def test_a_revoked_nodes_step_is_at_once_anothers_and_its_result_is_refused(mesh: Hands) -> None:
    await enrolled(mesh.ledger)
    task = (await mesh.submit("a")).task
    (lost,) = await mesh.claim(node="vps-1")
    revoked = await mesh.ledger.revoke_node("vps-1")
    assert [ring.step_id for ring in revoked.rings] == [lost.run_id]
    with pytest.raises(StaleLease):
        await mesh.complete(lost, node="vps-1")
    assert await mesh.claim(node="vps-1") == ()
    (again,) = await mesh.claim(node="home")
    assert (again.run_id, again.fence) == (lost.run_id, lost.fence + 1)
    await mesh.complete(again, node="home")
    assert await mesh.state(task.id) == "completed"
    assert [run.node for run in await mesh.ledger.steps(task.id)] == ["home"]
    assert (await mesh.ledger.revoke_node("vps-1")).rings == ()


async def test_a_revocation_cut_off_in_the_middle_refuses_results_all_the_same(hasty: Hands) -> None:
    await enrolled(hasty.ledger)
    task = (await hasty.submit("a")).task
    (lost,) = await hasty.claim(node="vps-1")
    await hasty.ledger._write(nodes.revoke, "vps-1")  # and the process ends before it takes the steps back
    with pytest.raises(StaleLease, match="revoked"):
        await hasty.complete(lost, node="vps-1")
    again = await hasty.soon(runner="r2")
    await hasty.complete(again, runner="r2")
    assert await hasty.state(task.id) == "completed"


async def test_claims_and_a_revocation_at_once_leave_no_lease_with_the_node(mesh: Hands) -> None:
    await enrolled(mesh.ledger)
    for text in "abcdefgh":
        await mesh.submit(text)
    claims = (mesh.claim(node="vps-1", runner=f"r{number}") for number in range(8))
    await asyncio.gather(*claims, mesh.ledger.revoke_node("vps-1"))
    left = [lease for _ in range(8) for lease in await mesh.claim(node="home")]
    assert len(left) == 8


async def test_what_a_node_says_of_itself_is_kept(mesh: Hands) -> None:
    await enrolled(mesh.ledger)
    has = Capabilities(cpus=8, ram_bytes=2**34, gpus=(Gpu(name="RTX", vram_bytes=2**33),))
    await mesh.ledger.node_seen("vps-1", Seen(capabilities=has, fingerprint=KEY, skew_s=-3.5))
    (node,) = await mesh.ledger.list_nodes()
    assert (node.capabilities, node.skew_s) == (has, -3.5)
    assert node.last_seen_at is not None
    with pytest.raises(NotFound):
        await mesh.ledger.node_seen("other", Seen(capabilities=has, fingerprint=KEY, skew_s=0))


async def test_a_run_on_a_node_costs_the_price_it_was_invited_at(mesh: Hands) -> None:
    await enrolled(mesh.ledger, price_per_hour=Decimal(3600))
    await enrolled(mesh.ledger, "free-1")
    task = (await mesh.submit("a")).task
    (lease,) = await mesh.claim(node="vps-1")
    await mesh.complete(lease, node="vps-1", duration_s=1e-3)
    cost = (await mesh.ledger.get(task.id)).cost
    assert cost is not None
    assert (cost.amount, cost.unpriced) == (Decimal("0.001"), 0)
    other = (await mesh.submit("b")).task
    (lease,) = await mesh.claim(node="free-1")
    await mesh.complete(lease, node="free-1")
    cost = (await mesh.ledger.get(other.id)).cost
    assert cost is not None
    assert cost.unpriced == 1
