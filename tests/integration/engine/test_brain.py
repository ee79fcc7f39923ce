"""A mesh whose brain thinks with two replicas: one is killed in mid-answer, and no task is lost."""

import asyncio
import json
from pathlib import Path

import aiohttp

from concilium.contracts.runner import Lease
from support.agents import free_port
from support.control_plane import Client, ControlPlane
from support.engine_process import EngineProcess, engine_process
from support.ledgers import until

PLAN = {
    "decision": "plan",
    "steps": [{"name": "say", "skill": "tts.speak", "input": {"text": {"$ref": "#/request/text"}}, "after": []}],
    "question": "",
    "reason": "",
}
SPOKEN = {"duration_s": 1.5, "sample_rate": 16000, "voice": "en", "engine": "test", "language": "en", "characters": 3}
TASKS = 6


async def test_a_replica_killed_in_mid_thought_loses_no_task_and_the_mode_is_in_the_turn(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    with engine_process(json.dumps(PLAN)) as one, engine_process(json.dumps(PLAN)) as other:

        async def who_thinks() -> EngineProcess | None:
            return await asyncio.to_thread(lambda: next((e for e in (one, other) if e.begun), None))

        settings = {"CONCILIUM_ENGINE__URL": f"{one.url},{other.url}", "CONCILIUM_ENGINE__MODEL": "m"}
        plane = ControlPlane(tmp_path, free_port(), settings, module="concilium.gateway")
        plane.start()
        try:
            user, runner = Client(session, plane, plane.key()), Client(session, plane, plane.key("runner"))
            replies = [await user.ask(f"Do the usual, number {n}") for n in range(TASKS)]
            tasks = [reply.json["id"] for reply in replies]
            doomed = await until(who_thinks)
            (one if doomed is other else other).let_go()
            doomed.kill()
            leases: list[Lease] = []
            while len(leases) < len(tasks):
                leases += await until(lambda: runner.claim("tts", 16))
            assert {lease.task_id for lease in leases} == set(tasks)
            for lease in leases:
                assert (await runner.complete(lease, output=SPOKEN)).status == 200
            for task_id in tasks:
                task = await user.task(task_id)
                assert (task["state"], task["answer"]["planner"]) == ("completed", "language")
                assert [(p["step"], p["attempt"]) for p in task["answer"]["provenance"]] == [("say", 1)]
                assert await modes(user, task_id) == ["fast"]
        finally:
            plane.stop()


async def modes(user: Client, task_id: str) -> list[str]:
    """Return the mode of each plan that the engine made for a task."""
    reply = await user.call("GET", f"/v1/tasks/{task_id}/events", headers={"Accept": "application/json"})
    events = reply.json["events"] if isinstance(reply.json, dict) else reply.json
    stages = [e["body"] for e in events if e["body"]["kind"] == "stage" and e["body"]["stage"] == "plan"]
    return [stage["output"]["mode"] for stage in stages]
