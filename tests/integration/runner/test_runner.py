"""From the hint to the commit, over a real Redis, control plane, agents and runner."""

import asyncio
import hashlib
import json
import os
import time

import aiohttp
from celery import Celery

from concilium.queue import Doorbell, make_app
from support.mesh import Mesh
from support.runner import Caller, echo, events_of, runs_of, until, wait


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
    assert [run["attempt"] for run in runs_of(runs)] == [1]
    assert "required property" in runs_of(runs)[0]["problem"]["detail"]


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
