"""An agent on another host, and what lies between: delay, loss, partitions, a host that vanishes, a wrong clock."""

from datetime import UTC, datetime, timedelta

import pytest

from support.hosts import Host
from support.hosts.remote import RemoteAgent
from support.mesh import Mesh
from support.runner import Caller, events_of, until, wait


def result(name: str) -> dict[str, object]:
    return {"name": name, "skill": "probe.wait", "input": {"seconds": 0}}


@pytest.mark.parametrize("delay_s", [0.05, 0.2])
async def test_work_goes_on_over_a_slow_wire(host: Host, far: RemoteAgent, caller: Caller, delay_s: float) -> None:
    host.wire(delay_s=delay_s)
    tasks = [await caller.ask(result("a"), result("b")) for _ in range(4)]
    for task in tasks:
        assert (await caller.ended(task))["state"] == "completed"
        assert sorted(far.starts(task)) == [f"{task}.a.1", f"{task}.b.1"]


async def test_over_a_wire_that_loses_packets_everything_ends_and_nothing_runs_twice(
    host: Host, far: RemoteAgent, caller: Caller
) -> None:
    host.wire(loss=0.02)
    tasks = [await caller.ask(result("a"), result("b")) for _ in range(40)]
    for task in tasks:
        assert (await caller.ended(task))["state"] == "completed"
        assert sorted(far.starts(task)) == [f"{task}.a.1", f"{task}.b.1"]


async def test_a_step_cut_off_in_its_middle_is_taken_up_again_and_not_run_twice(
    host: Host, far: RemoteAgent, mesh: Mesh, caller: Caller
) -> None:
    task = await caller.ask(wait("a", 6))
    await until(lambda: far.starts(task), mesh)
    host.wire(cut=True)
    host.forget_connections()
    await until(lambda: far.ends(task), mesh)
    host.wire()
    assert (await caller.ended(task))["state"] == "completed"
    assert far.starts(task) == [f"{task}.a.1"]


async def test_what_a_host_did_while_it_was_away_for_longer_than_every_deadline_counts_for_nothing(
    host: Host, far: RemoteAgent, mesh: Mesh, caller: Caller
) -> None:
    """Seconds stand for the hour or the day: leases of 2 s, a task of 12 s."""
    task = await caller.ask(wait("a", 4) | {"deadline_s": 6}, deadline_s=12)
    await until(lambda: far.starts(task), mesh)
    host.wire(cut=True)
    host.forget_connections()
    ended = await caller.ended(task)
    assert far.ends(task) == [f"{task}.a.1"]
    host.wire()
    assert ended["state"] == "failed"
    told = await events_of(caller, task)
    attempts = [(event["attempt"], event["state"]) for event in told if event["kind"] == "step"]
    assert attempts[:3] == [(1, "ready"), (1, "working"), (1, "failed")]
    problems = [event["problem"]["type"] for event in told if event["kind"] == "step" and event["problem"]]
    assert problems[0] in {"deadline-exceeded", "agent-timeout"}, problems

    # It is back, and works on; the old task stays as it ended.
    again = await caller.ask(result("b"))
    assert (await caller.ended(again))["state"] == "completed"
    assert await caller.task(task) == ended
    # What was sent into the cut may arrive late and begin an attempt that nobody waits for; none begins twice.
    began = far.starts(task)
    assert len(set(began)) == len(began)


@pytest.mark.parametrize("shift", ["+400d", "-2d"])
async def test_a_wrong_clock_on_the_host_changes_nothing(far: RemoteAgent, caller: Caller, shift: str) -> None:
    far.stop()
    far.start(before=("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", shift))
    try:
        task = await caller.ask(wait("a", 0.5), result("b"))
        ended = await caller.ended(task)
    finally:
        far.stop()
        far.start()
    assert ended["state"] == "completed"
    assert sorted(far.starts(task)) == [f"{task}.a.1", f"{task}.b.1"]
    began, over = (datetime.fromisoformat(ended[name]) for name in ("created_at", "updated_at"))
    assert timedelta() < over - began < timedelta(minutes=5)
    assert abs(datetime.now(UTC) - over) < timedelta(minutes=5)
