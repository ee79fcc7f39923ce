"""From the hint to the commit, over a real Redis, control plane, agents and runner."""

import asyncio
import hashlib
import json
import os
import signal
import time
from typing import Any

import aiohttp
from celery import Celery

from concilium.queue import Doorbell, make_app
from support.mesh import Mesh
from support.runner import Caller, until


def echo(name: str = "a", **step: Any) -> dict[str, Any]:
    data = {"text": name, **step.pop("data", {})}
    return {"name": name, "input": data, **step}


def wait(name: str, seconds: float) -> dict[str, Any]:
    return {"name": name, "skill": "probe.wait", "input": {"seconds": seconds}}


async def events_of(caller: Caller, task: str) -> list[dict[str, Any]]:
    """Return what each event of an ended task says."""
    async with caller.session.get(f"{caller.mesh.url}/v1/tasks/{task}/events") as stream:
        lines = (await stream.text()).splitlines()
    return [json.loads(line[5:])["body"] for line in lines if line.startswith("data:")]


async def test_a_hint_leads_to_a_claim_a_run_and_a_commit(caller: Caller) -> None:
    began = time.monotonic()
    task = await caller.ended(await caller.ask(echo("a"), echo("b", after=["a"])))
    assert time.monotonic() - began < 3, "an idle look found it, not the hint"
    assert task["answer"]["outputs"] == {"a": {"text": "a"}, "b": {"text": "b"}}


async def test_a_hint_that_finds_nothing_is_dropped(mesh: Mesh, caller: Caller) -> None:
    bell = Doorbell(mesh.redis_url)
    for _ in range(50):
        bell.ring("noop", "tsk_none.a.1")
    task = await caller.ended(await caller.ask(echo()))
    assert task["state"] == "completed"
    await until(lambda: bell.depth("noop") == 0, mesh)
    bell.close()
    assert len([line for line in mesh.executions() if line["event"] == "start"]) == 1


async def test_a_malformed_message_does_no_harm(mesh: Mesh, caller: Caller) -> None:
    app: Celery = make_app(mesh.redis_url)
    with app.connection_for_write() as connection, connection.SimpleQueue("agent.noop", serializer="json") as queue:
        queue.put({"not": "a task"})
    assert (await caller.ended(await caller.ask(echo())))["state"] == "completed"
    assert mesh.processes["runner"].poll() is None


async def test_a_failed_step_is_retried_and_a_refused_one_is_not(caller: Caller) -> None:
    flaky = await caller.ask(echo("flaky", data={"fail_times": 1}))
    refused = await caller.ask({"name": "wrong", "input": {"nonsense": 1}})
    assert (await caller.ended(flaky))["state"] == "completed"
    assert (await caller.ended(refused))["state"] == "failed"
    runs = await caller.call("GET", f"/v1/tasks/{refused}/steps")
    assert [run["attempt"] for run in _runs(runs)] == [1]
    assert "required property" in _runs(runs)[0]["problem"]["detail"]


async def test_no_more_steps_run_at_once_than_the_agent_has_slots(mesh: Mesh, caller: Caller) -> None:
    tasks = await asyncio.gather(*(caller.ask(wait(f"s{n}", 0.3)) for n in range(6)))
    for task in tasks:
        assert (await caller.ended(task))["state"] == "completed"
    running = peak = 0
    for line in mesh.executions("probe"):
        running += 1 if line["event"] == "start" else -1
        peak = max(peak, running)
    assert peak == 2


async def test_steps_run_by_priority_whatever_the_order_of_the_hints(mesh: Mesh, caller: Caller) -> None:
    blockers = await asyncio.gather(*(caller.ask(wait("block", 1.5)) for _ in range(2)))
    await until(lambda: len(mesh.executions("probe")) == 2, mesh)
    tasks = {p: await caller.ask(wait(p, 0.0), priority=p) for p in ("low", "normal", "high")}
    for task in (*blockers, *tasks.values()):
        await caller.ended(task)
    ran = [line["step_key"].split(".")[-1] for line in mesh.executions("probe") if line["event"] == "start"]
    assert ran[2] == "high"
    assert ran[-1] == "low"


async def test_large_files_travel_beside_the_completion(mesh: Mesh, caller: Caller) -> None:
    content = os.urandom(400_000)
    form = aiohttp.FormData()
    form.add_field("text", json.dumps([{"name": "r", "skill": "probe.reverse", "input": {"file": "$file"}}]))
    form.add_field("file", content, filename="a.bin", content_type="application/octet-stream")
    task = await caller.ended((await caller.call("POST", "/v1/ask", data=form))["id"])
    assert task["answer"]["outputs"]["r"] == {"size": len(content)}
    (artifact,) = task["artifacts"]
    assert artifact["parts"][0]["file"]["sha256"] == hashlib.sha256(content[::-1]).hexdigest()


async def test_progress_reaches_the_task_in_batches(caller: Caller) -> None:
    task = await caller.ask(wait("slow", 1.0))
    await caller.ended(task)
    notes = [event for event in await events_of(caller, task) if event["kind"] == "progress"]
    assert notes
    assert notes[0]["fraction"] == 0.5


async def test_two_runners_on_one_queue_never_run_the_same_step(mesh: Mesh, caller: Caller) -> None:
    mesh.start("runner-2")
    tasks = await asyncio.gather(*(caller.ask(echo("a"), echo("b", after=["a"])) for _ in range(40)))
    for task in tasks:
        assert (await caller.ended(task))["state"] == "completed"
    starts = [line["run_id"] for line in mesh.executions() if line["event"] == "start"]
    assert len(starts) == len(set(starts)) == 80


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
    assert [entry["attempt"] for entry in _runs(await caller.call("GET", f"/v1/tasks/{task}/steps"))] == [1]


async def test_a_runner_told_to_stop_ends_within_its_grace(mesh: Mesh, caller: Caller) -> None:
    task = await caller.ask(wait("long", 12))
    await until(lambda: mesh.executions("probe"), mesh)
    began = time.monotonic()
    mesh.kill("runner", signal.SIGTERM)
    assert time.monotonic() - began < 9
    mesh.start("runner")
    assert (await caller.ended(task))["state"] == "completed"
    assert mesh.starts(f"{task}.long.1", "probe") == 1


def _runs(answer: Any) -> Any:
    return answer if isinstance(answer, list) else next(v for v in answer.values() if isinstance(v, list))


async def test_a_runner_that_no_hint_reaches_works_on_and_ends_to_be_started_again() -> None:
    with Mesh.temporary(control_module="support.json_fold") as mesh:
        # The control plane rings a Redis that is not there, so the runner's consumer is as good as deaf.
        mesh.environ["CONCILIUM_QUEUE__URL"] = f"redis+socket://{mesh.root}/nowhere.sock"
        mesh.start("redis", "control", "noop")
        del mesh.environ["CONCILIUM_QUEUE__URL"]
        mesh.start("runner")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {mesh.key()}"}) as session:
            caller = Caller(mesh, session)
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
