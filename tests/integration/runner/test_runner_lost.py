"""Runners, agents, Redis and the control plane that are killed, frozen, stopped or come back empty."""

import asyncio
import signal
import time

import pytest
from redis import Redis

from concilium.queue import RECALLED
from support.mesh import Mesh
from support.runner import Caller, calling, echo, events_of, runs_of, until, wait


async def test_a_new_runner_attaches_to_what_a_killed_one_left(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(echo("slow", data={"sleep_s": 3}))
    await until(mesh.executions, mesh)
    mesh.restart("runner", signal.SIGKILL)
    done = await caller.ended(task)
    assert done["state"] == "completed"
    assert mesh.starts(f"{task}.slow.1") == 1


async def test_a_run_that_ended_unwatched_is_told_with_its_own_duration(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(echo("slow", data={"sleep_s": 2}))
    await until(mesh.executions, mesh)
    mesh.kill("runner", signal.SIGKILL)
    await until(lambda: any(line["event"] == "end" for line in mesh.executions()), mesh)
    mesh.restart("runner")
    await caller.ended(task)
    ends = [e for e in await events_of(caller, task) if e["kind"] == "step" and e["state"] == "completed"]
    assert [2.0 <= end["duration_s"] < 4.0 for end in ends] == [True], ends


async def test_a_frozen_runner_does_not_commit_under_a_lost_lease(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(echo("slow", data={"sleep_s": 1}))
    await until(mesh.executions, mesh)
    mesh.kill("runner", signal.SIGSTOP)
    mesh.start("runner-2")
    done = await caller.ended(task)
    mesh.kill("runner", signal.SIGCONT)
    await until(lambda: "lease given up" in mesh.log("runner") or "refused as stale" in mesh.log("runner"), mesh)
    assert done["state"] == "completed"
    assert (await caller.task(task))["answer"] == done["answer"]
    assert mesh.starts(f"{task}.slow.1") == 1


async def test_a_canceled_task_ends_the_run_at_the_agent(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(wait("long", 60))
    await until(lambda: mesh.executions("probe"), mesh)
    await caller.call("POST", f"/v1/tasks/{task}/cancel", json={})
    await until(lambda: [line for line in mesh.executions("probe") if line["event"] == "end"], mesh)
    assert mesh.executions("probe")[-1]["outcome"] == "canceled"


@pytest.mark.parametrize("mesh", [1000.0], indirect=True)
async def test_a_cancel_is_heard_long_before_the_lease_is_renewed(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(wait("long", 600))
    await until(lambda: mesh.executions("probe"), mesh)
    with Redis.from_url(mesh.redis_url.replace("redis+socket://", "unix://")) as redis:
        await until(lambda: redis.pubsub_numsub(RECALLED)[0][1], mesh)
    await caller.call("POST", f"/v1/tasks/{task}/cancel", json={})
    await until(lambda: [line for line in mesh.executions("probe") if line["event"] == "end"], mesh)
    assert mesh.executions("probe")[-1]["outcome"] == "canceled"


async def test_work_goes_on_when_redis_comes_back_without_its_data(mesh: Mesh, caller: Caller) -> None:
    assert (await caller.ended(await caller.ask(echo())))["state"] == "completed"
    mesh.kill("redis")
    while_away = await caller.ask(echo())
    mesh.restart("redis")
    after = await caller.ask(echo())
    assert (await caller.ended(while_away))["state"] == "completed"
    assert (await caller.ended(after))["state"] == "completed"


async def test_a_result_outlives_a_control_plane_that_restarts(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(echo("slow", data={"sleep_s": 1}))
    await until(mesh.executions, mesh)
    mesh.restart("control")
    assert (await caller.ended(task))["state"] == "completed"
    assert mesh.starts(f"{task}.slow.1") == 1


async def test_a_step_survives_the_restart_of_its_agent(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(echo("slow", data={"sleep_s": 1}))
    await until(mesh.executions, mesh)
    mesh.restart("noop")
    done = await caller.ended(task)
    assert done["state"] == "completed"
    assert [entry["attempt"] for entry in runs_of(await caller.call("GET", f"/v1/tasks/{task}/steps"))] == [1]


async def test_a_step_with_outside_effects_is_asked_about_when_its_agent_is_lost_for_good(
    mesh: Mesh, caller: Caller
) -> None:
    task = await caller.ask({**wait("long", 60), "title": "external"})
    await until(lambda: mesh.executions("probe"), mesh)
    mesh.kill("probe")
    deadline = time.monotonic() + 60
    while (found := await caller.task(task))["state"] == "working":
        assert time.monotonic() < deadline, mesh.log("runner")[-3000:]
        await asyncio.sleep(0.1)
    assert found["state"] == "input-required"
    assert "outcome is unknown" in found["question"]
    assert [run["attempt"] for run in runs_of(await caller.call("GET", f"/v1/tasks/{task}/steps"))] == [1]


async def test_a_runner_told_to_stop_ends_within_its_grace(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(wait("long", 12))
    await until(lambda: mesh.executions("probe"), mesh)
    began = time.monotonic()
    mesh.kill("runner", signal.SIGTERM)
    assert time.monotonic() - began < 9
    mesh.start("runner")
    assert (await caller.ended(task))["state"] == "completed"
    assert mesh.starts(f"{task}.long.1", "probe") == 1


async def test_a_runner_that_no_hint_reaches_works_on_and_ends_to_be_started_again() -> None:
    with Mesh.temporary(control_module="support.json_fold") as mesh:
        # The control plane rings a Redis that is not there, so the runner's consumer is as good as deaf.
        mesh.environ["CONCILIUM_QUEUE__URL"] = f"redis+socket://{mesh.root}/nowhere.sock"
        mesh.start("redis", "control", "noop")
        del mesh.environ["CONCILIUM_QUEUE__URL"]
        mesh.start("runner")
        async with calling(mesh) as caller:
            deadline = time.monotonic() + 90
            done = 0
            while mesh.processes["runner"].poll() is None:
                task = await caller.ask(echo())
                while mesh.processes["runner"].poll() is None:
                    if (await caller.task(task))["state"] == "completed":
                        done += 1
                        break
                    assert time.monotonic() < deadline, mesh.log("runner")[-3000:]
                    await asyncio.sleep(0.1)
            assert done >= 2, "work must go on without hints"
            assert mesh.processes["runner"].returncode == 75
            assert "work found without a hint" in mesh.log("runner")
