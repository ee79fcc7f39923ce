"""A real control plane that thinks with a real engine: plans, kills while it thinks, lost leases, failed steps."""

import signal
from typing import Any

from aiohttp import web

from concilium.contracts.runner import Lease
from support.control_plane import Client, ControlPlane
from support.engine import ScriptedEngine
from support.ledgers import until

UNSURE = "Do the usual"
LEASE_TTL_S = 5.0
SPOKEN = {
    "duration_s": 1.5,
    "sample_rate": 16000,
    "voice": "en",
    "engine": "test",
    "language": "en",
    "characters": 3,
}


def speak(name: str, text: Any, *after: str) -> dict[str, Any]:
    return {"name": name, "skill": "tts.speak", "input": {"text": text}, "after": list(after)}


def plan(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"decision": "plan", "steps": list(steps), "question": "", "reason": ""}


PLAN = plan(speak("say", {"$ref": "#/request/text"}))


async def submitted(user: Client, text: str = UNSURE) -> str:
    reply = await user.ask(text)
    assert reply.status == 202, reply.body
    return str(reply.json["id"])


async def soon(runner: Client, agent: str = "tts") -> Lease:
    """Claim a step as soon as there is one."""
    leases = await until(lambda: runner.claim(agent))
    assert isinstance(leases[0], Lease)
    return leases[0]


async def state(user: Client, task_id: str, wanted: str) -> Any:
    """Return the task once it is in that state."""

    async def look() -> Any:
        task = await user.task(task_id)
        return task if task["state"] == wanted else None

    return await until(look)


async def stages(user: Client, task_id: str) -> list[dict[str, Any]]:
    """Return the outputs of the task's stage events, each with its stage."""
    reply = await user.call("GET", f"/v1/tasks/{task_id}/events", headers={"Accept": "application/json"})
    assert reply.status == 200, reply.body
    events = reply.json["events"] if isinstance(reply.json, dict) else reply.json
    return [{"stage": e["body"]["stage"], **e["body"]["output"]} for e in events if e["body"]["kind"] == "stage"]


async def calls(engine: ScriptedEngine, count: int) -> None:
    """Return when the engine has been called that often."""

    async def look() -> bool:
        return len(engine.seen) >= count

    await until(look)


async def test_an_unsure_request_is_planned_by_the_engine_and_answered(
    engine: ScriptedEngine, user: Client, runner: Client
) -> None:
    engine.replies = [PLAN]
    task_id = await submitted(user)
    lease = await soon(runner)
    assert (lease.skill, lease.input) == ("tts.speak", {"text": UNSURE})
    await runner.complete(lease, output=SPOKEN)
    task = await state(user, task_id, "completed")
    assert task["answer"]["planner"] == "language"
    assert [p["step"] for p in task["answer"]["provenance"]] == ["say"]
    assert [s["stage"] for s in await stages(user, task_id)] == ["route", "plan", "answer"]
    assert len(engine.seen) == 1


async def test_what_a_thought_asked_of_the_engine_is_counted(
    engine: ScriptedEngine, user: Client, runner: Client
) -> None:
    async def counted() -> int:
        rows = (await user.call("GET", "/v1/costs?by=node")).json["rows"]
        return sum(row["input_tokens"] for row in rows if (row["label"], row["name"]) == ("engine", "engine"))

    before = await counted()
    engine.replies = [PLAN]
    task_id = await submitted(user)
    await runner.complete(await soon(runner), output=SPOKEN)
    task = await state(user, task_id, "completed")
    assert task["cost"] == {"amount": "0.000000", "currency": "USD", "unpriced": 0}
    assert await counted() == before + 1


async def test_a_kill_while_the_engine_thinks_loses_nothing_and_the_plan_is_made_once(
    engine: ScriptedEngine, plane: ControlPlane, user: Client, runner: Client
) -> None:
    engine.replies = [PLAN]
    engine.gate.clear()
    task_id = await submitted(user)
    await calls(engine, 1)
    plane.stop(signal.SIGKILL)
    plane.start()
    engine.gate.set()
    lease = await soon(runner)
    planned = [s for s in await stages(user, task_id) if s["stage"] == "plan"]
    assert len(planned) == 1
    assert len(engine.seen) == 2, "the first call died with its process, the second one made the plan"
    plane.stop(signal.SIGKILL)
    plane.start()
    assert (await runner.complete(lease, output=SPOKEN)).status == 200
    task = await state(user, task_id, "completed")
    assert [(p["step"], p["attempt"]) for p in task["answer"]["provenance"]] == [("say", 1)]
    assert len(engine.seen) == 2, "what is stored is not thought again"


async def test_a_dead_engine_leaves_the_question_to_the_router_and_the_turn_says_so(
    engine: ScriptedEngine, user: Client
) -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.json_response({"error": "down"}, status=500)

    engine.replies = [broken]
    task_id = await submitted(user)
    task = await state(user, task_id, "input-required")
    assert task["question"]
    decided = [s for s in await stages(user, task_id) if s["stage"] == "plan"]
    assert [(s["decision"], s["reason"]) for s in decided] == [("engine-unavailable", "refused: HTTP 500")]


async def test_an_answer_that_stays_invalid_rejects_the_task_and_runs_nothing(
    engine: ScriptedEngine, user: Client, runner: Client
) -> None:
    engine.replies = [plan({"name": "a", "skill": "mail.send", "input": {}, "after": []})]
    task = await state(user, await submitted(user), "rejected")
    assert task["problem"]["type"] == "invalid-plan"
    assert "no skill 'mail.send'" in task["problem"]["detail"]
    assert len(engine.seen) == 2
    assert not await runner.claim("tts")


async def test_a_canceled_task_lets_go_of_the_engine(engine: ScriptedEngine, user: Client) -> None:
    engine.replies = [PLAN]
    engine.gate.clear()
    task_id = await submitted(user)
    await calls(engine, 1)
    assert (await user.call("POST", f"/v1/tasks/{task_id}/cancel")).status == 200

    async def look() -> bool:
        return engine.dropped == 1

    await until(look)
    assert (await user.task(task_id))["state"] == "canceled"


async def test_a_failed_step_is_reformulated_while_the_other_branch_goes_on(
    engine: ScriptedEngine, user: Client, runner: Client
) -> None:
    retry = {"decision": "retry", "input": {"text": "shorter"}, "reason": ""}
    engine.replies = [plan(speak("one", "first"), speak("two", "second"), speak("three", "third", "two")), retry]
    task_id = await submitted(user)
    leases = {lease.step: lease for lease in [await soon(runner), await soon(runner)]}
    engine.gate.clear()
    problem = {"type": "skill-error", "detail": "too long", "retryable": False}
    await runner.complete(leases["one"], state="failed", problem=problem)
    await calls(engine, 2)
    await runner.complete(leases["two"], output=SPOKEN)
    third = await soon(runner)
    await runner.complete(third, output=SPOKEN)
    assert engine.thinking == 1, "the turn moved on twice; the engine goes on thinking undisturbed"
    engine.gate.set()
    again = await soon(runner)
    assert (again.step, again.attempt, again.input) == ("one", 2, {"text": "shorter"})
    await runner.complete(again, state="failed", problem=problem)
    task = await state(user, task_id, "completed")
    assert "Step 'one' (tts.speak) failed after 2 attempt(s): too long" in task["answer"]["text"]
    assert set(task["answer"]["outputs"]) == {"two", "three"}
    assert len(engine.seen) == 2, "reformulated once, thought about once"


async def test_a_thought_longer_than_its_lease_is_renewed(engine: ScriptedEngine, user: Client, runner: Client) -> None:
    engine.replies = [PLAN, plan(speak("other", "never made"))]
    engine.gate.clear()
    task_id = await submitted(user)
    await calls(engine, 1)
    later = await user.ask("another unsure thing", deadline_s=2.5 * LEASE_TTL_S)
    # That task's own deadline is leases away: when it is over, the first call has outlived its lease.
    await state(user, later.json["id"], "failed")
    assert engine.dropped <= 1
    engine.gate.set()
    lease = await soon(runner)
    assert lease.step == "say"
    await runner.complete(lease, output=SPOKEN)
    assert [s["stage"] for s in await stages(user, task_id)].count("plan") == 1


async def test_only_a_few_thoughts_are_thought_at_once_and_all_in_the_end(
    engine: ScriptedEngine, user: Client, runner: Client
) -> None:
    engine.replies = [PLAN]
    engine.gate.clear()
    tasks = [await submitted(user) for _ in range(7)]
    await calls(engine, 4)
    engine.gate.set()
    for _ in tasks:
        await runner.complete(await soon(runner), output=SPOKEN)
    for task_id in tasks:
        await state(user, task_id, "completed")
    assert engine.most == 4
    assert len(engine.seen) == 7
