"""Adapters in the ledger: legal steps only, each with who and why; one publisher wins; nothing in use is removed."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from concilium.contracts.adapter_life import (
    LEGAL,
    CanaryTerms,
    Counts,
    Judgement,
    Line,
    OnReplica,
    ReplicaState,
    Tally,
)
from concilium.contracts.adapters import AdapterState, Alias, Reference, Verdict
from concilium.contracts.errors import Conflict, IllegalTransition, Invalid, NotFound
from concilium.ledger import Deed, Ledger
from support.adapter_life import DEED, digest, live, manifest, proof, registered, verified
from support.ledgers import Hands

TERMS = CanaryTerms(share=0.1, slow_s=10)
BAD = Counts(canary=Tally(seen=50, errors=9), live=Tally(seen=450, errors=1))


def says(verdict: Verdict) -> Callable[[Counts, CanaryTerms], Judgement]:
    return lambda counts, _terms: Judgement(verdict=verdict, reason=f"{counts.canary.errors} errors", evidence={})


async def test_a_version_goes_through_its_life_and_every_step_says_who_and_why(mesh: Hands) -> None:
    first = await live(mesh.ledger)
    second = await verified(mesh.ledger, version="1.1.0")
    line = await mesh.ledger.start_canary(
        second.digest, (await mesh.ledger.adapter_line("sport")).generation, TERMS, Deed("boris", "try the new data")
    )
    assert line.canary is not None
    line = await mesh.ledger.promote_adapter(second.digest, line.generation, DEED)
    assert (line.live, line.previous, line.canary) == (second.digest, first.digest, None)
    assert (await mesh.ledger.get_adapter(first.digest)).state is AdapterState.VERIFIED
    await mesh.ledger.retire_adapter(second.digest, DEED)
    told = await mesh.ledger.adapter_events("sport")
    assert [event.what for event in told] == [
        "imported", "verified", "live", "imported", "verified", "canary", "superseded", "live", "retired",
    ]  # fmt: skip
    assert [event.seq for event in told] == list(range(1, 10))
    assert (told[5].who, told[5].why, told[5].digest) == ("boris", "try the new data", second.digest)
    assert told[5].data["terms"]["share"] == 0.1
    assert told[1].data == {"by": "index 12"}
    assert all(one.at <= other.at for one, other in pairwise(told))


async def test_a_step_without_who_or_why_is_refused(mesh: Hands) -> None:
    with pytest.raises(Invalid, match="who does it and why"):
        Deed(" ", "why")
    with pytest.raises(Invalid, match="who does it and why"):
        Deed("anna", "")


async def in_state(ledger: Ledger, state: AdapterState) -> str:
    """Return a version 2.0.0 that came to a state by legal steps."""
    made = await registered(ledger, version="2.0.0")
    if state is AdapterState.CANDIDATE:
        return made.digest
    if state is AdapterState.RETIRED:
        await ledger.retire_adapter(made.digest, DEED)
        return made.digest
    await ledger.verify_adapter(made.digest, proof(made.digest), DEED)
    generation = (await ledger.adapter_line("sport")).generation
    if state is AdapterState.CANARY:
        await ledger.start_canary(made.digest, generation, TERMS, DEED)
    if state is AdapterState.LIVE:
        await ledger.promote_adapter(made.digest, generation, DEED)
    return made.digest


async def go(ledger: Ledger, to: AdapterState, which: str) -> None:
    generation = (await ledger.adapter_line("sport")).generation
    acts: dict[AdapterState, Callable[[], Awaitable[object]]] = {
        AdapterState.VERIFIED: lambda: ledger.verify_adapter(which, proof(which), DEED),
        AdapterState.CANARY: lambda: ledger.start_canary(which, generation, TERMS, DEED),
        AdapterState.LIVE: lambda: ledger.promote_adapter(which, generation, DEED),
        AdapterState.RETIRED: lambda: ledger.retire_adapter(which, DEED),
    }
    await acts[to]()


@pytest.mark.parametrize("start", AdapterState)
async def test_what_the_table_of_steps_forbids_is_refused_and_changes_nothing(mesh: Hands, start: AdapterState) -> None:
    await live(mesh.ledger)
    which = await in_state(mesh.ledger, start)
    for to in set(AdapterState) - LEGAL[start] - {AdapterState.CANDIDATE}:
        before = await mesh.ledger.adapter_line("sport")
        with pytest.raises((IllegalTransition, Conflict)):
            await go(mesh.ledger, to, which)
        assert (await mesh.ledger.get_adapter(which)).state is start
        assert await mesh.ledger.adapter_line("sport") == before


async def test_a_proof_for_other_bytes_or_a_report_that_does_not_pass_verifies_nothing(mesh: Hands) -> None:
    made = await registered(mesh.ledger)
    with pytest.raises(Conflict, match="the proof is for ffff"):
        await mesh.ledger.verify_adapter(made.digest, proof("f" * 64), DEED)
    assert (await mesh.ledger.get_adapter(made.digest)).state is AdapterState.CANDIDATE
    for number, verdict in enumerate((Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.ERROR)):
        said = manifest(version=f"2.{number}.0", verdict=verdict)
        other = await mesh.ledger.register_adapter(said, digest(said), 1, DEED, probed=True)
        with pytest.raises(Conflict, match="only PASS"):
            await mesh.ledger.verify_adapter(other.digest, proof(other.digest), DEED)
        assert (await mesh.ledger.get_adapter(other.digest)).state is AdapterState.CANDIDATE


async def test_only_what_is_verified_or_later_and_not_retired_is_loaded(mesh: Hands) -> None:
    await live(mesh.ledger)
    made = await registered(mesh.ledger, version="2.0.0")
    with pytest.raises(IllegalTransition, match="no engine may load it"):
        await mesh.ledger.begin_load("home", made.digest)
    await mesh.ledger.verify_adapter(made.digest, proof(made.digest), DEED)
    await mesh.ledger.begin_load("home", made.digest)
    await mesh.ledger.retire_adapter(made.digest, DEED)
    with pytest.raises(IllegalTransition, match="no engine may load it"):
        await mesh.ledger.begin_load("other", made.digest)


async def test_a_version_is_never_used_for_other_bytes_not_even_when_its_files_are_gone(mesh: Hands) -> None:
    made = await registered(mesh.ledger)
    assert await registered(mesh.ledger) == made, "the same bundle again is no error"
    other = manifest(parents=("c" * 64,))
    for _ in range(2):
        with pytest.raises(Conflict, match="give it a new version"):
            await mesh.ledger.register_adapter(other, digest(other), 1, DEED, probed=True)
        await mesh.ledger.remove_adapter(made.digest, DEED)
    back = await registered(mesh.ledger)
    assert (back.state, back.removed_at) == (AdapterState.CANDIDATE, None)


async def test_of_two_publishers_at_once_one_wins_and_the_other_is_told(mesh: Hands) -> None:
    await live(mesh.ledger)
    rivals = [await verified(mesh.ledger, version=f"2.{number}.0") for number in range(6)]
    seen = (await mesh.ledger.adapter_line("sport")).generation
    tries = (mesh.ledger.promote_adapter(rival.digest, seen, DEED) for rival in rivals)
    found = await asyncio.gather(*tries, return_exceptions=True)
    winners = [line for line in found if isinstance(line, Line)]
    losers = [error for error in found if isinstance(error, Conflict)]
    assert (len(winners), len(losers)) == (1, 5)
    assert all("meanwhile" in error.detail for error in losers)
    line = await mesh.ledger.adapter_line("sport")
    assert (line.live, line.generation) == (winners[0].live, seen + 1)
    states = [record.state for record in await mesh.ledger.list_adapters()]
    assert states.count(AdapterState.LIVE) == 1


async def test_without_a_probe_nothing_is_promoted(mesh: Hands) -> None:
    made = await verified(mesh.ledger, probed=False)
    with pytest.raises(Conflict, match="has no probe"):
        await mesh.ledger.promote_adapter(made.digest, 0, DEED)


async def test_a_canary_needs_something_live_to_be_compared_with(mesh: Hands) -> None:
    made = await verified(mesh.ledger)
    with pytest.raises(Conflict, match="nothing to compare with"):
        await mesh.ledger.start_canary(made.digest, 0, TERMS, DEED)


async def test_a_rollback_ends_the_canary_first_and_then_returns_to_the_version_before(mesh: Hands) -> None:
    first = await live(mesh.ledger)
    second = await live(mesh.ledger, version="2.0.0")
    third = await in_canary(mesh, "3.0.0")
    line = await mesh.ledger.rollback_adapter("sport", DEED)
    assert (line.live, line.canary) == (second.digest, None)
    assert (await mesh.ledger.get_adapter(third)).state is AdapterState.VERIFIED
    line = await mesh.ledger.rollback_adapter("sport", DEED)
    assert (line.live, line.previous) == (first.digest, None)
    assert (await mesh.ledger.get_adapter(second.digest)).state is AdapterState.VERIFIED
    with pytest.raises(Conflict, match="promote one by its version"):
        await mesh.ledger.rollback_adapter("sport", DEED)


async def in_canary(mesh: Hands, version: str) -> str:
    made = await verified(mesh.ledger, version=version)
    await mesh.ledger.start_canary(made.digest, (await mesh.ledger.adapter_line("sport")).generation, TERMS, DEED)
    return made.digest


async def test_a_regression_rolls_back_in_the_transaction_that_counts_it_with_the_reason(mesh: Hands) -> None:
    await live(mesh.ledger)
    canary = await in_canary(mesh, "2.0.0")
    seen = (await mesh.ledger.adapter_line("sport")).generation
    line, found = await mesh.ledger.observe_canary("sport", seen, BAD, says(Verdict.INSUFFICIENT))
    assert line.canary is not None
    assert found is not None
    line, _ = await mesh.ledger.observe_canary("sport", seen, BAD, says(Verdict.FAIL))
    assert line.canary is None
    assert line.generation == seen + 1
    assert (await mesh.ledger.get_adapter(canary)).state is AdapterState.VERIFIED
    last = (await mesh.ledger.adapter_events("sport"))[-1]
    assert (last.what, last.who, last.why) == ("rolled-back", "canary", "18 errors")
    assert last.data["counts"]["canary"]["seen"] == 100
    assert last.data["judgement"]["verdict"] == "FAIL"
    # What comes late, of the canary that is over, counts for nobody.
    line, found = await mesh.ledger.observe_canary("sport", seen, BAD, says(Verdict.FAIL))
    assert found is None
    assert line.live is not None
    await mesh.ledger.start_canary(canary, line.generation, TERMS, DEED)
    line, found = await mesh.ledger.observe_canary("sport", seen, BAD, says(Verdict.FAIL))
    assert found is None
    assert line.canary is not None
    assert line.canary.counts == Counts()


async def test_counts_that_several_processes_add_at_once_are_all_kept(mesh: Hands) -> None:
    await live(mesh.ledger)
    await in_canary(mesh, "2.0.0")
    seen = (await mesh.ledger.adapter_line("sport")).generation
    one = Counts(canary=Tally(seen=1), live=Tally(seen=9, slow=1))
    await asyncio.gather(
        *(mesh.ledger.observe_canary("sport", seen, one, says(Verdict.INSUFFICIENT)) for _ in range(20))
    )
    canary = (await mesh.ledger.adapter_line("sport")).canary
    assert canary is not None
    assert (canary.counts.canary.seen, canary.counts.live.seen, canary.counts.live.slow) == (20, 180, 20)


async def test_an_alias_or_a_version_leads_to_its_digest_and_to_nothing_when_there_is_none(mesh: Hands) -> None:
    first = await live(mesh.ledger)
    for text in ("sport@live", "sport@1.0.0"):
        assert (await mesh.ledger.find_adapter(Reference.parse(text))).digest == first.digest
    for text in ("sport@canary", "sport@9.9.9", "chess@live"):
        with pytest.raises(NotFound):
            await mesh.ledger.find_adapter(Reference.parse(text))


async def test_an_alias_says_what_engines_call_the_version_it_leads_to(mesh: Hands) -> None:
    await live(mesh.ledger)
    line = await mesh.ledger.adapter_line("sport")
    assert line.live is not None
    assert line.served(Alias.LIVE) == f"sport@1.0.0+{line.live[:12]}"
    assert line.served(Alias.CANARY) is None


async def test_nothing_that_is_pinned_serving_aliased_or_a_parent_of_such_is_removed(mesh: Hands) -> None:
    ledger = mesh.ledger
    grandparent = await registered(ledger, "core")
    parent = await registered(ledger, "mix", parents=(grandparent.digest,))
    child = await verified(ledger, "sport", parents=(parent.digest,))
    await ledger.promote_adapter(child.digest, 0, DEED)
    second = await live(ledger, "sport", "2.0.0")
    canary = await in_canary(mesh, "3.0.0")
    pinned = await registered(ledger, "chess")
    await ledger.pin_adapter(pinned.digest, DEED)
    serving = await verified(ledger, "opera")
    await ledger.begin_load("home", serving.digest)
    free = await registered(ledger, "free")
    expected = {
        child.digest: "rollback", second.digest: "live", canary: "canary", pinned.digest: "pinned",
        serving.digest: "'home'", parent.digest: "made from it", grandparent.digest: "made from it",
    }  # fmt: skip
    for which, reason in expected.items():
        with pytest.raises(Conflict, match=reason):
            await ledger.remove_adapter(which, DEED)
    assert set(await ledger.kept_adapters()) == set(expected)
    await ledger.remove_adapter(free.digest, DEED)
    assert free.digest not in {record.digest for record in await ledger.list_adapters()}
    assert free.digest in {record.digest for record in await ledger.list_adapters(removed=True)}
    with pytest.raises(IllegalTransition, match="import it again"):
        await ledger.verify_adapter(free.digest, proof(free.digest), DEED)


async def test_a_load_and_a_removal_at_once_never_both_succeed(mesh: Hands) -> None:
    for number in range(8):
        made = await verified(mesh.ledger, version=f"1.{number}.0")
        found = await asyncio.gather(
            mesh.ledger.begin_load("home", made.digest),
            mesh.ledger.remove_adapter(made.digest, DEED),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Conflict) for one in found) == 1, found


async def test_what_a_replica_has_is_kept_until_it_is_unloaded(mesh: Hands) -> None:
    made = await verified(mesh.ledger)
    await mesh.ledger.begin_load("home", made.digest)
    await mesh.ledger.report_replica(
        OnReplica(replica="home", digest=made.digest, state=ReplicaState.LIVE, detail="margin 3.1")
    )
    (found,) = await mesh.ledger.adapter_replicas()
    assert (found.replica, found.state, found.detail) == ("home", ReplicaState.LIVE, "margin 3.1")
    await mesh.ledger.unloaded("home", made.digest)
    await mesh.ledger.report_replica(OnReplica(replica="home", digest=made.digest, state=ReplicaState.LIVE))
    assert await mesh.ledger.adapter_replicas() == [], "a late word of it does not bring it back"
    await mesh.ledger.begin_load("home", made.digest)
    await mesh.ledger.forget_replica("home")
    assert await mesh.ledger.kept_adapters() == {}


async def test_retiring_what_is_live_leaves_the_alias_empty_and_ends_its_canary(mesh: Hands) -> None:
    first = await live(mesh.ledger)
    canary = await in_canary(mesh, "2.0.0")
    await mesh.ledger.retire_adapter(first.digest, DEED)
    line = await mesh.ledger.adapter_line("sport")
    assert (line.live, line.canary) == (None, None)
    assert (await mesh.ledger.get_adapter(canary)).state is AdapterState.VERIFIED
    await mesh.ledger.remove_adapter(first.digest, DEED)
    with pytest.raises(Conflict, match="was retired"):
        await registered(mesh.ledger)


async def test_one_process_keeps_the_engines_until_it_lets_go_or_is_silent(mesh: Hands) -> None:
    ledger = mesh.ledger
    found = await asyncio.gather(*(ledger.hold_engines(f"p{number}", 60) for number in range(4)))
    assert sum(found) == 1
    holder = f"p{found.index(True)}"
    assert await ledger.hold_engines(holder, 60)
    assert not await ledger.hold_engines("other", 60)
    await ledger.release_engines(holder)
    assert await ledger.hold_engines("other", -1)
    assert await ledger.hold_engines("third", 60), "one whose time is over does not keep others out"
